"""Tasks end, also those that a cancellation does not reach."""

from __future__ import annotations

import asyncio
import signal

import pytest

from collector.tasks import end, run_interruptible


async def test_a_task_ends_that_takes_an_answer_for_more_than_a_cancellation() -> None:
    """As a driver's does on Python 3.11, in the moment in which the answer comes."""
    swallowed = 0

    async def asking() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    task = asyncio.create_task(asking())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), timeout=60)
    assert (task.cancelled(), swallowed) == (True, 3)


async def test_what_has_ended_stays_so() -> None:
    async def failing() -> None:
        raise ValueError

    task = asyncio.create_task(failing())
    await asyncio.wait({task})
    await end(task)
    assert isinstance(task.exception(), ValueError)


def test_ctrl_c_ends_work_that_takes_an_answer_for_more_than_a_cancellation() -> None:
    swallowed = 0

    async def asking() -> None:
        nonlocal swallowed
        signal.raise_signal(signal.SIGINT)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise ConnectionError("given up") from None

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(asking())
    assert swallowed == 3


def test_what_work_gives_and_raises_is_the_commands() -> None:
    async def work(error: Exception | None) -> int:
        if error:
            raise error
        return 5

    assert run_interruptible(work(None)) == 5
    with pytest.raises(ConnectionError):
        run_interruptible(work(ConnectionError()))
