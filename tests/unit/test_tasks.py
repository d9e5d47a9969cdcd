"""Tasks end, even those that a cancellation does not reach."""

from __future__ import annotations

import asyncio
import gc
import signal

import pytest

from collector.tasks import end, run_interruptible


async def wait_through_two_cancellations() -> None:
    """Survive two cancellations, as a driver's task does on Python 3.11 if its answer comes at that moment."""
    for _ in range(2):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(3600)


async def test_a_task_ends_even_if_an_answer_hides_its_cancellation() -> None:
    task = asyncio.create_task(wait_through_two_cancellations())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), timeout=60)
    assert task.cancelled()


async def test_an_ended_task_is_left_alone() -> None:
    async def failing() -> None:
        raise ValueError

    task = asyncio.create_task(failing())
    await asyncio.wait({task})
    await end(task)
    assert isinstance(task.exception(), ValueError)


def test_ctrl_c_ends_work_even_if_an_answer_hides_the_cancellation() -> None:
    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await wait_through_two_cancellations()
        finally:
            raise ConnectionError("given up")

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(interrupted())


def test_a_second_ctrl_c_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(3600)
        finally:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(3600)

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(interrupted())
    gc.collect()
    assert caplog.text == ""


def test_results_and_exceptions_of_work_are_passed_on() -> None:
    async def work(error: Exception | None) -> int:
        if error:
            raise error
        return 5

    assert run_interruptible(work(None)) == 5
    with pytest.raises(ConnectionError):
        run_interruptible(work(ConnectionError()))
