import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.outage import Announcer, Outage, state_file
from collector.cli.status import trouble
from collector.doctor.archivers import examine_archivers
from collector.errors import SpoolError, StoreUnavailableError
from collector.instances import Instance
from collector.query.archivers import stuck
from collector.query.running import RunningCollector
from collector.query.status import status
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from schemas.archiver import ArchiverState
from tests.support import Router

AWAY = StoreUnavailableError("the store at mongodb://h does not answer", "start it")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_an_outage_is_logged_once_and_then_rarely(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Outage(lambda _state: None)
    for _attempt in range(120):
        one.failed(AWAY)
        clock.now += 30
    one.over()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "the store at mongodb://h does not answer",
        *[f"the store at mongodb://h does not answer for 0:{minutes}:00 now" for minutes in range(10, 60, 10)],
        "it works again after 1:00:00 and 120 attempts",
    ]


def test_a_store_that_comes_and_goes_does_not_fill_the_log(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Outage(lambda _state: None)
    for _second in range(600):
        one.failed(AWAY)
        clock.now += 1
        one.over()
    assert len(caplog.records) == 20


def test_the_state_is_reported_at_each_attempt_and_at_the_end(clock: Any) -> None:
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


def test_status_shows_index_builds_beside_an_outage(data_dir: Path) -> None:
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
    """The store is away as long as it is for any of them, since it was for the first."""
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


def archived(data_dir: Path, name: str, line: bytes, *, stored: datetime) -> None:
    """A spool with a waiting line, whose archiver finished the line before it at the given time."""
    spool = data_dir / name
    with SpoolWriter(spool) as writer:
        writer.write(line + b"\n" + line + b"\n")
    with SpoolReader(spool) as reader:
        assert len(reader.read(1, 1)) == 1
        reader.acknowledge(1, {})
    os.utime(spool / "position.json", (stored.timestamp(),) * 2)


async def test_status_and_doctor_name_the_archiver_that_is_stuck_or_dead(data_dir: Path) -> None:
    now = datetime.now(UTC)
    line = Router(start=(now - timedelta(minutes=5)).timestamp()).keepalive()
    for name, minutes in (("spool", 0), ("spool-1", 3), ("spool-2", 4)):
        archived(data_dir, name, line, stored=now - timedelta(minutes=minutes))
    for number in (0, 1):
        Announcer(state_file(Instance(data_dir, number))).hear(ArchiverState(pid=os.getpid()))
    running = RunningCollector(pid=os.getpid(), started=now - timedelta(hours=1))
    found = await status(data_dir, None)
    assert [(one.spool, one.waiting, bool(one.archiver)) for one in found.spools] == [
        ("spool", 1, True),
        ("spool-1", 1, True),
        ("spool-2", 1, False),
    ]
    said = [stuck(one, running.started) or "" for one in found.spools]
    assert said[0] == ""
    assert said[1].startswith(f"the archiver of spool-1, process {os.getpid()}, has stored nothing since")
    assert said[2].startswith("the archiver of spool-2, which does not run, has stored nothing since")
    assert stuck(found.spools[2], now) is None, "the collector has only just begun"
    up = found.model_copy(update={"state": "running", "started": running.started, "store": "MongoDB 8"})
    assert (trouble(up) or AWAY).cause == said[1]
    assert [one.state for one in examine_archivers(data_dir, running)] == ["ok", "error", "error"]
