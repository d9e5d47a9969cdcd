import logging
import time
from pathlib import Path
from typing import Any

import pytest

from collector.archive.outage import Announcer, Outage, state_file
from collector.errors import SpoolError, StoreUnavailableError
from collector.instances import Instance
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


def test_what_is_built_stands_beside_an_outage(data_dir: Path) -> None:
    data_dir.mkdir()
    here = Instance(data_dir)
    announcer = Announcer(state_file(here))
    announcer.hear(ArchiverState(pid=1))
    announcer.build("index a of b")
    announcer.hear(ArchiverState(pid=1, attempts=2))
    told = ArchiverState.model_validate_json(state_file(here).read_bytes())
    assert (told.building, told.attempts) == ("index a of b", 2)
    announcer.build(None)
    assert ArchiverState.model_validate_json(state_file(here).read_bytes()).building is None


async def test_status_shows_what_living_archivers_say_together(data_dir: Path) -> None:
    """The store is away while it is for one of them, since it was for the first."""
    data_dir.mkdir()
    first, second = Instance(data_dir), Instance(data_dir, 1)
    second.spool.mkdir()
    announcers = [Announcer(state_file(instance)) for instance in (first, second)]
    one, two = (Outage(announcer.hear) for announcer in announcers)
    assert (await status(data_dir, None)).store_away_since is None
    one.failed(AWAY)
    assert state_file(first).stat().st_mode & 0o777 == 0o600
    began = (await status(data_dir, None)).store_away_since
    two.failed(AWAY)
    two.failed(AWAY)
    announcers[0].build("index a of b")
    found = await status(data_dir, None)
    assert (found.store_away_since, found.attempts, found.last_error) == (began, 1, AWAY.cause)
    assert found.building == "index a of b"
    one.over()
    found = await status(data_dir, None)
    assert (bool(found.store_away_since), found.attempts) == (True, 2)
    announcers[1].hear(ArchiverState(pid=2**22 + 1, store_away_since=began))  # beyond PID_MAX_LIMIT
    assert (await status(data_dir, None)).store_away_since is None
    for announcer in (*announcers, *announcers):
        announcer.withdraw()
    assert not list(data_dir.glob("archiver*.json"))
