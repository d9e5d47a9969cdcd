"""Which ExaBGP a line comes from, and why lines are missing; in the manner of `test_counting.py`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.sources.exabgp.counting import SILENCE
from schemas.message import Counted
from schemas.peer import Peer
from tests.exabgp_counts import BEGIN, TWO, Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


# --- another ExaBGP -------------------------------------------------------------------------------------------


def test_another_exabgp_ends_all_sessions_of_the_previous_one(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.all_say("up", 1, 1, "192.0.2.3")
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "end")] * 2
    assert lines.effect.ended == SILENCE
    assert lines.says("up", 1, pid=101) == []
    assert lines.says("up", 3, TWO, pid=101) == [(2, "pipe")]


def test_another_exabgp_is_recognised_by_the_line_of_a_neighbour(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    assert lines.says("up", 4, pid=101) == [(None, "end"), (3, "pipe")]
    assert lines.effect.ended == SILENCE


def test_another_exabgp_ends_sessions_even_if_no_line_is_missing(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.receiver_ends()
    assert lines.says("up", 1, pid=101) == []
    assert lines.effect.ended == SILENCE


def test_no_line_is_missing_after_a_shutdown(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    assert lines.shuts_down() == []
    assert lines.effect.ended == "ExaBGP was shut down"
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == []


def test_a_line_after_the_receivers_last_one_revokes_it(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.receiver_ends()
    lines.all_say("update", 4, 4)
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "end")]


def test_the_first_line_of_a_neighbour_after_the_receivers_last_one_revokes_it(lines: Lines) -> None:
    lines.receiver_ends()
    lines.all_say("up", 1, 1)
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "end")]


def test_a_dead_receiver_may_have_held_lines_of_the_previous_exabgp(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.receiver_starts()
    lines.receiver_ends()
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "pipe")]
    assert lines.effect.losses[0].after == BEGIN + timedelta(seconds=3)


def test_a_dead_receiver_may_have_held_lines_of_the_sessions_object(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.all_say("down", 2, 2)
    lines.receiver_ends()
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "pipe")]


def test_an_exabgp_that_goes_on_is_recognised_again(lines: Lines) -> None:
    lines.two_objects()
    assert lines.says("up", 1, TWO, pid=101) == [(None, "end")]
    assert lines.says("update", 6) == [(2, "pipe")]
    assert lines.effect.resumed == {"exabgp_pid": 100}
    assert lines.effect.ended is None
    assert lines.says("down", 2) == []


def test_an_exabgp_with_an_old_number_and_lower_counts_is_another(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.says("up", 1, TWO, pid=101)
    lines.says("up", 3)
    assert lines.effect.resumed is None
    assert lines.effect.ended == SILENCE


def test_an_exabgp_with_an_old_number_and_a_new_neighbour_is_another(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.says("up", 1, TWO, pid=101)
    lines.says("up", 9, "192.0.2.3")
    assert lines.effect.ended == SILENCE


def test_a_third_exabgp_is_not_the_first_one(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.says("up", 1, TWO, pid=101)
    lines.says("up", 9, pid=102)
    assert lines.effect.ended == SILENCE


def test_an_exabgp_without_lines_does_not_hide_the_previous_one(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    lines.receiver_starts(pid=101, incarnation="boot/2")
    lines.receiver_starts(pid=102, incarnation="boot/3")
    assert lines.says("up", 4) == []
    assert lines.effect.resumed == {"exabgp_pid": 100}


def test_of_two_causes_the_first_is_reported(lines: Lines) -> None:
    lines.two_objects()
    lines.drops(1)
    lines.all_say("update", 4, 4)
    lines.receiver_starts()
    lines.receiver_ends()
    assert lines.receiver_starts(pid=101, incarnation="boot/2") == [(None, "disk")]


def test_another_exabgp_begins_without_reloads_and_losses(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    lines.receiver_starts(pid=101, incarnation="boot/2")
    assert lines.says("up", 3, pid=101) == [(2, "pipe")]
    assert lines.says("update", 6, pid=101) == [(2, "pipe")]


def test_the_same_number_with_another_incarnation_is_another_exabgp(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    assert lines.receiver_starts(incarnation="boot/2") == [(None, "end")]


@pytest.mark.parametrize("incarnation", ["boot/1", None])
def test_the_same_number_without_another_incarnation_is_the_same_exabgp(lines: Lines, incarnation: str | None) -> None:
    lines.all_say("up", 1, 3)
    assert lines.receiver_starts(incarnation=incarnation) == []
    assert lines.effect.ended is None
    assert lines.says("up", 4) == []
    assert lines.receiver_starts(incarnation="boot/2") == [(None, "end")]


def test_what_is_no_word_of_exabgps_life_is_nothing(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    assert lines.clock_is_set() == []
    assert lines.effect.ended is None
    assert lines.says("up", 4) == []


def test_a_receiver_whose_exabgp_has_ended_reports_no_other(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    assert lines.receiver_starts(pid=0, incarnation=None) == []
    assert lines.effect.ended is None
    assert lines.says("up", 6) == [(2, "pipe")]


# --- why ------------------------------------------------------------------------------------------------------


def test_lines_that_the_disk_refused_are_missing_for_want_of_room(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    assert lines.drops(2, since=lines.now + timedelta(hours=1)) == [(2, "disk")]
    told = lines.effect.losses[0]
    assert (told.peer, told.reason, lines.effect.ended) == (None, "No space left on device", None)
    assert told.after == BEGIN + timedelta(seconds=4)  # a clock set back must not give a gap that ends before it begins
    assert lines.says("update", 6) == [(2, "disk")]
    assert lines.says("update", 8) == [(1, "pipe")]


@pytest.mark.parametrize(("seconds", "cause"), [(0, "disk"), (-1, "pipe")])
def test_a_first_line_is_missing_for_want_of_room_if_it_is_no_older(lines: Lines, seconds: int, cause: str) -> None:
    since = lines.now
    lines.drops(2, since=since)
    counted = Counted(Peer(address=TWO, asn=64500), 100, 3, "update")
    effect = lines.counting.count(lines.number, since + timedelta(seconds=seconds), counted)
    assert [(loss.records, loss.cause) for loss in effect.losses] == [(2, cause)]


def test_two_counts_in_doubt_are_one_gap(lines: Lines) -> None:
    """The OPEN shows that A's count is over, and is itself in doubt."""
    lines.two_objects()
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("open", 4) == [(None, "pipe")]
