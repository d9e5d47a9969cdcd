"""Which count a line continues, shown for each rule by the shortest sequence of lines that needs it.

Lines are written as their kinds and counts. Two neighbour objects of a peer are called A, with which its session began,
and B, which a reload made; see `collector.sources.exabgp.counting`.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.sources.source import NONE
from schemas.message import Counted
from schemas.peer import Peer
from tests.exabgp_counts import BEGIN, IN_RANGE, ONE, RANGE, TWO, Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


# --- one count ------------------------------------------------------------------------------------------------


def test_a_jump_in_a_count_is_the_number_of_lost_lines(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    assert lines.says("update", 6) == [(2, "pipe")]
    assert lines.effect.losses[0].after == BEGIN + timedelta(seconds=3)
    assert lines.effect.losses[0].peer == Peer(address=ONE, asn=64500)
    assert lines.says("update", 7) == []


def test_lines_lost_before_the_first_line_of_a_neighbour_are_counted(lines: Lines) -> None:
    assert lines.says("update", 5) == [(4, "pipe")]
    assert lines.effect.losses[0].after is None


def test_a_line_without_a_count_tells_nothing(lines: Lines) -> None:
    lines.all_say("up", 1, 3)
    without = Counted(Peer(address=ONE, asn=64500), 101, None, "update")
    assert lines.counting.count(lines.number, lines.now, without) is NONE
    lines.all_say("update", 4, 4)


def test_each_neighbour_has_a_count_and_so_has_a_range(lines: Lines) -> None:
    assert lines.says("up", 1, ONE) == []
    assert lines.says("up", 1, TWO) == []
    assert lines.says("up", 1, "198.51.100.7") == []
    assert lines.says("up", 2, "198.51.100.8") == []
    assert lines.says("up", 4, "198.51.100.7") == [(1, "pipe")]
    assert lines.effect.losses[0].peer == Peer(address=RANGE, asn=64500)


def test_a_note_of_version_0_1_may_not_know_all_neighbours() -> None:
    count = {"asn": 64500, "count": 3, "ts": BEGIN.isoformat(), "line": 2}
    lines = Lines({"exabgp": 100, "counters": {ONE: count}})
    assert lines.says("update", 4) == []
    assert lines.says("update", 5, TWO) == [(None, "pipe")]
    assert lines.says("connected", 3) == [(2, "pipe")]  # this one is in the note


# --- two counts of a neighbour --------------------------------------------------------------------------------


def test_a_reload_is_no_loss(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("update", 4, 9)
    lines.all_say("down", 2, 2)


def test_equal_counts_are_told_apart_by_the_kind_of_line(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 3)
    assert lines.says("update", 4) == []  # A's
    assert lines.says("down", 4) == []  # B's


@pytest.mark.parametrize(
    "kind", ["state", "connected", "up", "down", "open", "negotiated", "fsm", "signal", "sent", "packet"]
)
def test_a_state_belongs_to_the_newest_object(lines: Lines, kind: str) -> None:
    lines.two_objects()
    assert lines.says(kind, 4) == [(2, "pipe")]


@pytest.mark.parametrize("kind", ["update", "eor", "keepalive", "refresh", "notification", None])
def test_a_message_belongs_to_the_object_of_the_session(lines: Lines, kind: str | None) -> None:
    lines.two_objects()
    assert lines.says(kind, 4) == []


def test_the_old_count_is_over_when_another_session_begins(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 2)
    lines.all_say("connected", 3, 3)
    lines.all_say("open", 4, 4)
    assert lines.says("update", 7) == [(2, "pipe")]  # not A's, which had 3


def test_a_header_that_cannot_be_read_is_counted_with_the_newest_object(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 4)
    assert lines.says("notification", 5) == []


def test_the_old_count_is_over_when_a_message_belongs_to_the_newest_object(lines: Lines) -> None:
    """The OPEN of the next session could not be read: it is a reject of unknown kind."""
    lines.two_objects()
    lines.all_say("down", 2, 4)
    assert lines.says("keepalive", 5) == []
    assert lines.says("update", 7) == [(1, "pipe")]


def test_a_session_goes_on_with_its_object_even_after_a_loss(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.drops(2)
    assert lines.says("down", 1) == []
    assert lines.says("update", 4) == []


def test_another_count_may_first_be_seen_at_the_number_of_the_old_one(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("connected", 3) == [(2, "pipe")]


def test_a_third_object_takes_the_place_of_the_second(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 2)
    lines.reloads_once()
    assert lines.says("connected", 1) == []
    assert lines.says("update", 4) == []  # still A's
    assert lines.says("down", 2) == []


def test_last_lines_of_a_count_that_a_dead_receiver_may_have_had_are_a_gap(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.all_say("down", 2, 2)
    lines.all_say("connected", 3, 3)
    assert lines.says("open", 4) == [(None, "pipe")]


def test_last_lines_of_the_second_of_three_counts_are_a_gap(lines: Lines) -> None:
    lines.two_objects()
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("connected", 1) == [(None, "pipe")]


def test_last_lines_of_a_count_and_the_first_ones_of_the_next(lines: Lines) -> None:
    lines.two_objects()
    lines.reloads_once()
    lines.receiver_starts()
    lines.says("down", 9)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("connected", 3) == [(None, "pipe"), (2, "pipe")]


def test_lines_lost_before_a_count_hide_none_of_it(lines: Lines) -> None:
    lines.drops(2)
    lines.two_objects()
    lines.all_say("down", 2, 2)
    lines.all_say("connected", 3, 3)
    assert lines.says("open", 4) == []


def test_a_receiver_that_read_all_hides_nothing(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_ends()
    lines.receiver_starts()
    lines.all_say("down", 2, 2)
    lines.all_say("connected", 3, 3)
    assert lines.says("open", 4) == []


def test_last_lines_that_the_full_disk_may_have_refused_are_a_gap(lines: Lines) -> None:
    lines.two_objects()
    lines.drops(2)
    lines.all_say("down", 2, 2)
    lines.all_say("connected", 3, 3)
    assert lines.says("open", 4) == [(None, "disk")]


def test_a_neighbour_that_is_new_after_a_reload_and_a_loss(lines: Lines) -> None:
    """Its session may have begun with an object none of whose lines came: neither number is certain."""
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("up", 2) == [(None, "pipe")]
    assert lines.says("update", 1) == []  # lines of the other object
    assert lines.says("down", 3) == []


def test_lines_may_be_lost_of_an_object_none_of_whose_lines_came(lines: Lines) -> None:
    """Another object may have come in between, and all of its lines may be lost."""
    lines.reloads_once()
    lines.receiver_starts()
    lines.says("up", 1)
    assert lines.says("update", 5) == [(None, "pipe")]
    assert lines.effect.losses[0].after is None


def test_an_object_none_of_whose_lines_came_ends_without_a_gap(lines: Lines) -> None:
    lines.reloads_once()
    lines.receiver_starts()
    lines.all_say("connected", 1, 1)
    assert lines.says("open", 2) == []


@pytest.mark.parametrize("what", ["reload", "loss"])
def test_a_neighbour_that_is_new_after_a_reload_or_a_loss(lines: Lines, what: str) -> None:
    if what == "reload":
        lines.reloads_once()
    else:
        lines.receiver_starts()
    assert lines.says("up", 2) == [(1, "pipe")]


# --- ranges ---------------------------------------------------------------------------------------------------


def test_a_range_has_one_count_even_after_a_reload(lines: Lines) -> None:
    """All of its sessions end with the old object."""
    lines.all_say("update", 1, 4, IN_RANGE)
    lines.reloads_once()
    lines.all_say("connected", 1, 1, IN_RANGE)
    assert lines.says("update", 5, IN_RANGE) == [(3, "pipe")]


def test_a_range_has_one_count_even_in_doubt(lines: Lines) -> None:
    lines.all_say("update", 1, 4, IN_RANGE)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("down", 8, IN_RANGE) == [(None, "pipe")]
    lines.drops(1)
    assert lines.says("update", 10, IN_RANGE) == [(1, "disk")]


def test_a_range_that_is_new_after_a_reload_and_a_loss_has_one_count(lines: Lines) -> None:
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("up", 5, IN_RANGE) == [(None, "pipe")]
    assert lines.says("update", 7, IN_RANGE) == [(1, "pipe")]
