import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.archive.outage import Outage, Together, announce, withdraw
from collector.errors import SpoolError, StoreUnavailableError
from collector.query.status import status
from schemas.archiver import ArchiverState

AWAY = StoreUnavailableError("the store at mongodb://h does not answer", "start it")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_it_is_said_once_and_then_rarely(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Outage(lambda _state: None)
    for _attempt in range(120):
        one.failed(AWAY)
        clock.now += 30
    one.over()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "the store at mongodb://h does not answer",
        *[f"the store at mongodb://h does not answer for 0:{minutes}:00 now" for minutes in range(10, 60, 10)],
        "it does again, after 1:00:00 and 120 attempts",
    ]


def test_a_store_that_comes_and_goes_does_not_fill_the_log(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Outage(lambda _state: None)
    for _second in range(600):
        one.failed(AWAY)
        clock.now += 1
        one.over()
    assert len(caplog.records) == 20


def test_the_state_is_told_at_each_attempt_and_at_the_end(clock: Any) -> None:
    told: list[ArchiverState] = []
    one = Outage(told.append)
    one.over()
    one.failed(SpoolError("no room"))
    one.over()
    assert [state.attempts for state in told] == [0]
    one.failed(AWAY)
    one.failed(AWAY)
    one.over()
    one.over()
    assert [state.attempts for state in told] == [0, 1, 2, 0]
    assert told[1].store_away_since == told[2].store_away_since != told[3].store_away_since
    assert (told[2].last_error, told[3].last_error) == (AWAY.cause, None)


def test_several_spools_are_told_of_as_one() -> None:
    """The store is away while it is for one of them, since it was for the first."""
    told: list[ArchiverState] = []
    states = Together(told.append)
    one, two = (Outage(partial(states.hear, label)) for label in ("", "1"))
    one.failed(AWAY)
    began = told[-1].store_away_since
    two.failed(AWAY)
    two.failed(AWAY)
    assert (told[-1].store_away_since, told[-1].attempts) == (began, 1)
    one.over()
    assert (bool(told[-1].store_away_since), told[-1].attempts) == (True, 2)
    two.over()
    assert told[-1].store_away_since is None


async def test_status_shows_what_a_living_archiver_says(data_dir: Path) -> None:
    data_dir.mkdir()
    Outage(lambda state: announce(data_dir, state)).failed(AWAY)
    assert (data_dir / ArchiverState.FILE).stat().st_mode & 0o777 == 0o600
    found = await status(data_dir, None)
    assert (found.attempts, found.last_error) == (1, AWAY.cause)
    assert found.store_away_since is not None
    announce(data_dir, ArchiverState(pid=2**22 + 1, store_away_since=found.store_away_since))  # beyond PID_MAX_LIMIT
    assert (await status(data_dir, None)).store_away_since is None
    withdraw(data_dir)
    withdraw(data_dir)
    assert (await status(data_dir, None)).attempts is None
