"""A program that ends is restarted after growing pauses, or at once if we ended it ourselves."""

import asyncio
import logging
from itertools import islice

import pytest

from collector import retry
from collector.retry import keep_up, pauses


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(pauses(1, 5), 5)) == [1, 2, 4, 5, 5]


def test_spread_pauses_differ_and_grow_no_longer() -> None:
    drawn = list(islice(pauses(1, 8, jitter=0.2), 50))
    assert len(set(drawn)) == 50
    assert 0.8 <= drawn[0] <= 1.2
    assert all(6.4 <= pause <= 9.6 for pause in drawn[3:])


class Program:
    """A program that ends as it is told to: with an outcome, or because we ended it."""

    def __init__(self, *ends: str | None) -> None:
        self.ends = list(ends)
        self.stopping = asyncio.Event()

    async def run(self) -> str | None:
        end = self.ends.pop(0)
        if not self.ends:
            self.stopping.set()
        return end


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(seconds: float, unless: asyncio.Event) -> None:
        found.append(seconds)

    monkeypatch.setattr(retry, "sleep", sleep)
    return found


async def test_a_program_that_we_end_ourselves_is_restarted_at_once(
    slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    program = Program("it fell", None, "it fell again", "stopped")
    await keep_up(program.run, logging.getLogger("test"), program.stopping)
    assert slept == [1, 2]
    assert caplog.messages == ["it fell; starting it again in 1 s", "it fell again; starting it again in 2 s"]


async def test_after_a_healthy_run_the_pause_is_short_again(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "HEALTHY_SECONDS", -1.0)
    program = Program("it fell", "it fell", "it fell", "stopped")
    await keep_up(program.run, logging.getLogger("test"), program.stopping)
    assert slept == [1, 1, 1]


async def test_a_stop_ends_the_pause() -> None:
    program = Program("it fell", "stopped")
    running = asyncio.create_task(keep_up(program.run, logging.getLogger("test"), program.stopping))
    await asyncio.sleep(0)
    program.stopping.set()
    async with asyncio.timeout(0.5):
        await running
    assert program.ends == ["stopped"]
