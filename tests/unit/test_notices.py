"""What the receiver notices between two reads, and what it ignores."""

import json
import time
from pathlib import Path

import pytest

from collector.sources.exabgp import reloads
from collector.sources.exabgp.notices import Notices


class Clocks:
    """The wall clock, which may be set, and the monotonic clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.running, self.held_up = 1.8e9, 1000.0, 0.0
        patch.setattr(time, "time", lambda: self.now)
        patch.setattr(time, "clock_gettime", self.gettime)

    def gettime(self, clock: int) -> float:
        assert clock == time.CLOCK_BOOTTIME, "time in suspend counts"
        found, self.running = self.running, self.running + self.held_up
        return found

    def pass_(self, seconds: float, step: float = 0.0) -> None:
        self.running += seconds
        self.now += seconds + step


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def events(notices: Notices) -> list[tuple[str, float]]:
    found = [json.loads(line) for line in notices().splitlines()]
    return [(one["event"], one["step"] if one["event"] == "clock" else one["reloads"]) for one in found]


@pytest.mark.parametrize("step", [-3600.0, -0.75, 1.0, 5e8])
def test_a_clock_change_is_reported_once(tmp_path: Path, clocks: Clocks, step: float) -> None:
    notices = Notices(1, tmp_path / "reloads")
    clocks.pass_(50)
    assert events(notices) == []
    clocks.pass_(0.25, step)
    assert events(notices) == [("clock", step)]
    clocks.pass_(0.25)
    assert events(notices) == []


def test_small_steps_and_long_waits_are_not_reported(tmp_path: Path, clocks: Clocks) -> None:
    notices = Notices(1, tmp_path / "reloads")
    for step in (0.125, -0.25, 0.25, 0.25, 0.25):
        clocks.pass_(86_400, step)
        assert events(notices) == []


def test_clocks_are_read_again_after_a_delay_between_readings(tmp_path: Path, clocks: Clocks) -> None:
    notices = Notices(1, tmp_path / "reloads")
    clocks.held_up = 2.0
    assert events(notices) == []
    clocks.held_up = 0.0
    clocks.now += 4.0
    assert events(notices) == []


def test_each_reload_is_reported(tmp_path: Path, clocks: Clocks) -> None:
    file = tmp_path / "reloads"
    notices = Notices(1, file)
    assert (notices.reloads, events(notices)) == (0, [])
    reloads.tell(file)
    clocks.pass_(1, -60)
    assert events(notices) == [("reload", 1), ("clock", -60.0)]
    reloads.tell(file)
    reloads.tell(file)
    assert events(notices) == [("reload", 3)]
    assert Notices(1, file).reloads == 3
    assert file.stat().st_mode & 0o777 == 0o600
