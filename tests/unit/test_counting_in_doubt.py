"""Lines that may go on with more counts than one; as `test_counting.py`."""

from __future__ import annotations

import pytest

from tests.exabgp_counts import BEGIN, PIPE, Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_count_that_may_be_either_objects_has_no_number(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    assert lines.says("update", 8) == [(None, "pipe")]  # A's, with 4 lost, or B's, with 6


@pytest.mark.parametrize("restarts", [False, True])
def test_in_doubt_it_is_the_sessions_object_until_the_newest_one_tells(lines: Lines, *, restarts: bool) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    if restarts:
        lines.restarts()
    assert lines.says("down", 2) == []  # so it was A's
    assert lines.says("update", 9) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_in_doubt_it_was_the_newest_object_if_a_state_goes_on_with_it(lines: Lines, *, restarts: bool) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    if restarts:
        lines.restarts()
    assert lines.says("down", 9) == []  # so it was B's
    assert lines.says("connected", 10) == []
    assert lines.says("update", 4) == [(3, "pipe")]  # and A's count is over


def test_without_doubt_a_state_never_goes_on_with_the_sessions_object(lines: Lines) -> None:
    lines.two_objects()
    assert lines.says("down", 4) == [(2, "pipe")]
    assert lines.says("update", 4) == []


def test_a_doubt_is_settled_by_the_newest_objects_next_line(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.all_say("down", 2, 2)
    assert lines.says("down", 9) == [(6, "pipe")]


def test_a_doubt_is_settled_by_another_objects_first_line(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.reloads_once()
    lines.says("down", 1)
    assert lines.says("down", 9) == [(7, "pipe")]


def test_a_doubt_that_a_state_does_not_settle_goes_on(lines: Lines) -> None:
    """B's 8 lines and 3 more, or B's first one and 10 more."""
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.receiver_starts()
    assert lines.says("down", 12) == [(None, "pipe")]
    assert lines.says("update", 9) == [(None, "pipe")]
    assert lines.says("down", 13) == []


def test_what_was_in_doubt_once_is_not_for_ever(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.receiver_starts()
    lines.says("down", 12)
    lines.all_say("connected", 13, 13)
    lines.says("open", 14)
    lines.reloads_once()
    lines.all_say("down", 1, 1)
    assert lines.says("down", 15) == [(13, "pipe")]  # not the old one's


def test_both_counts_at_one_height_behind_a_doubt(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.all_say("down", 2, 8)
    assert lines.says("down", 9) == []  # B's
    assert lines.says("update", 9) == []  # A's


def test_in_doubt_a_state_may_be_the_old_objects_or_one_that_was_not_heard_of(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("down", 8) == [(None, "pipe")]
    assert lines.says("update", 4) == [(None, "pipe")]  # its session goes on, or another one's between
    assert lines.says("update", 5) == []
    assert lines.says("down", 9) == []


def test_a_second_doubt_keeps_the_sessions_object(lines: Lines) -> None:
    lines.two_objects()
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("down", 2) == [(None, "pipe")]  # B's, or C's with one lost
    assert lines.says("update", 4) == [(None, "pipe")]  # A's, or another one's between
    assert lines.says("update", 5) == []


def test_counts_of_one_height_miss_the_same_number(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 3)
    lines.drops(2)
    assert lines.says("update", 6) == [(2, "disk")]


def test_between_two_objects_another_may_have_come(lines: Lines) -> None:
    """All that it said is lost, but for what its session says now."""
    lines.all_say("update", 1, 2)
    lines.reloads_once()
    lines.receiver_starts()
    lines.reloads_once()
    lines.all_say("down", 1, 1)
    assert lines.says("update", 5) == [(None, "pipe")]


@pytest.mark.parametrize(("most", "lost"), [(5, 4), (6, None)])
def test_the_other_object_must_have_lost_no_more_than_was(lines: Lines, most: int, lost: int | None) -> None:
    lines.two_objects()
    lines.drops(most)
    assert lines.says("update", 8) == [(lost, "disk")]  # A's, with 4 lost, or B's, with 6


def test_an_object_that_is_further_is_not_meant(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 6)
    lines.drops(2)
    assert lines.says("update", 6) == [(2, "disk")]


def test_what_can_just_be_lost_explains_it(lines: Lines) -> None:
    """A's, with as many lost as can be, or B's, with one less than that."""
    lines.two_objects()
    lines.all_say("down", 2, 4)
    lines.drops(7)
    assert lines.says("update", 11) == [(None, "disk")]
    lines.all_say("down", 5, 5)  # so it was A's


def test_what_cannot_be_lost_explains_nothing(lines: Lines) -> None:
    """A is too far behind: so many lines were never in the pipe."""
    lines.two_objects()
    lines.all_say("down", 2, PIPE)
    lines.receiver_starts()
    assert lines.says("update", 3 + PIPE + 2) == [(4, "pipe"), (None, "pipe")]  # and what A said last


def test_what_was_read_behind_the_loss_has_no_doubt(lines: Lines) -> None:
    lines.two_objects()
    lines.drops(4)
    lines.all_say("down", 2, 2)
    assert lines.says("update", 6) == [(2, "disk")]  # B has lost nothing since


def test_a_reload_behind_the_loss_explains_nothing(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.receiver_starts()
    lines.reloads_once()
    assert lines.says("update", 6) == [(2, "pipe")]


def test_the_first_reload_tells_from_where_on_there_may_be_another_count(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    lines.reloads_once()
    assert lines.says("update", 6) == [(None, "pipe")]


def test_a_receiver_that_knows_of_no_reloads_tells_of_none(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.receiver_starts(counts=False)
    assert lines.says("update", 6) == [(2, "pipe")]


def test_a_reload_that_a_receiver_tells_of_whose_exabgp_has_gone(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads += 1
    lines.receiver_starts(pid=0, incarnation=None)
    assert lines.says("update", 6) == [(None, "pipe")]


def test_a_reload_that_only_the_next_receiver_tells_of(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads += 1
    lines.receiver_starts()
    assert lines.says("update", 6) == [(None, "pipe")]


@pytest.mark.parametrize(("most", "lost"), [(2, 2), (3, None)])
def test_so_many_lines_may_be_lost_as_the_disk_refused(lines: Lines, most: int, lost: int | None) -> None:
    lines.all_say("update", 1, 1)
    lines.reloads_once()
    lines.drops(most)
    assert lines.says("update", 4) == [(lost, "disk")]  # A's, or B's with 3 lost


def test_a_next_line_behind_a_loss_may_be_anothers(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("update", 4) == [(None, "pipe")]
    assert lines.says("update", 5) == []


def test_many_losses_are_remembered_together(lines: Lines) -> None:
    lines.all_say("update", 1, 1)
    lines.reloads_once()
    for _ in range(20):
        lines.receiver_starts()
    assert lines.says("update", 19 * PIPE) == [(None, "pipe")]
    assert len(lines.counting.note()["spans"]) == 16


@pytest.mark.parametrize(("counter", "lost"), [(16, None), (17, 15)])
def test_of_losses_that_are_remembered_together_most_is_known(lines: Lines, counter: int, lost: int | None) -> None:
    """A neighbour that was heard between the second and the third of 17 can have lost 15."""
    lines.drops(1)
    lines.drops(1)
    lines.all_say("up", 1, 1)
    lines.reloads_once()
    for _ in range(15):
        lines.drops(1)
    assert lines.says("update", counter) == [(lost, "disk")]


def test_what_the_spool_itself_lost_may_be_anybodys(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    assert lines.counting.hole(lines.number, BEGIN, lines.now, 5)
    assert lines.says("update", 6) == [(None, "spool")]
