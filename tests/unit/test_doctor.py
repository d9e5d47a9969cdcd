"""What `doctor` finds without a collector, in the note of a spool."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.archive.session_tracker import SessionTracker
from collector.cli.status import trouble
from collector.doctor.settings import feed, stored_time
from collector.settings.model import Settings
from collector.settings.sources import RisLiveSettings
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from tests.support import Router, read_all
from tests.unit.test_layout import STATUS


def archived(data_dir: Path, *lines: bytes) -> None:
    """Write a spool's note as the archiver leaves it."""
    with SpoolWriter(data_dir / "spool") as spool:
        spool.write(b"".join(line + b"\n" for line in lines))
    reader, tracker = SpoolReader(data_dir / "spool"), SessionTracker(EXABGP, "test")
    for line in read_all(reader):
        message = decode(line.raw)
        assert not isinstance(message, Rejection)
        tracker.follow(line.number, message)
    reader.acknowledge(len(lines), {"tracker": tracker.note()})


def test_a_clock_that_was_ahead_is_warned_of_while_stored_time_stands_still(tmp_path: Path) -> None:
    router = Router(start=time.time() + 3600)
    ahead = router.up()
    router.time -= 3600
    archived(tmp_path, *ahead, router.keepalive())
    (found,) = stored_time(tmp_path)
    assert found.state == "warning"
    assert "the clock was set back" in found.says
    assert found.cure


def test_a_clock_that_has_caught_up_after_being_set_back_gives_no_warning(tmp_path: Path) -> None:
    router = Router(start=time.time() - 3600)
    before = router.up()
    router.time -= 60
    archived(tmp_path, *before, router.keepalive())
    assert not list(stored_time(tmp_path))


@pytest.mark.parametrize(("ahead", "told"), [(3600, True), (30, False), (-3600, False)])
def test_status_reports_a_problem_while_stored_time_is_far_ahead(ahead: float, told: bool) -> None:
    until = datetime.now(UTC) + timedelta(seconds=ahead)
    found = trouble(STATUS.model_copy(update={"state": "running", "clock_set_back": until}))
    assert (found is not None and "the clock was set back" in found.cause) == told


def test_an_empty_archive_gives_no_warning(tmp_path: Path) -> None:
    assert not list(stored_time(tmp_path))


def test_doctor_says_whether_ris_live_can_be_reached() -> None:
    assert not list(feed(Settings()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/ws/"
        told = Settings(ris_live=RisLiveSettings(url=url))
        assert [found.state for found in feed(told)] == ["ok"]
    (found,) = feed(told)
    assert (found.state, "cannot be reached" in found.says, bool(found.cure)) == ("error", True, True)
