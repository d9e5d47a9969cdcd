import io
import time

import pytest

from collector.cli.progress import ProgressLine


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_progress_of_long_work_is_shown_and_removed_at_the_end(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ProgressLine(stream, 1000)
    shown.advance()
    assert stream.getvalue() == ""
    for clock[0] in (1.5, 1.6, 2.0):
        for _ in range(250):
            shown.advance()
    lines = stream.getvalue().split("\r")[1:]
    assert lines[0] == f"[{'.' * 30}]   0% of 1,000 UPDATEs read, 1/s, 0:12:28 left\x1b[K"
    assert " 50% of 1,000" in lines[-1]
    assert len(lines) == 2
    shown.end()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_quick_work_shows_no_progress(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ProgressLine(stream)
    shown.advance()
    shown.end()
    assert stream.getvalue() == ""


def test_progress_in_steps_shows_their_name(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ProgressLine(stream, of="entries read")
    clock[0] = 2
    shown.advance(4000)
    assert stream.getvalue() == "\r4,000 entries read\x1b[K"


def test_progress_stops_at_100_percent(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ProgressLine(stream, 1)
    shown.advance()
    clock[0] = 2
    shown.advance()
    assert "100% of 1 UPDATEs" in stream.getvalue()


def test_progress_without_a_terminal_shows_nothing(clock: list[float]) -> None:
    shown = ProgressLine(None)
    clock[0] = 2
    shown.advance()
    shown.end()


def test_a_report_of_progress_is_shown(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ProgressLine(stream, of="sessions folded")
    shown.reach(1, 4)
    clock[0] = 2
    shown.reach(3, 4)
    assert " 75% of 4 sessions folded" in stream.getvalue()
