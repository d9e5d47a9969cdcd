"""Lines that may continue more than one count; in the manner of `test_counting.py`."""

from __future__ import annotations

import pytest

from tests.exabgp_counts import BEGIN, PIPE, Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_the_number_lost_is_unknown_if_either_object_may_have_counted(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    assert lines.says("update", 8) == [(None, "pipe")]  # A's, with 4 lost, or B's, with 6


@pytest.mark.parametrize("restarts", [False, True])
def test_a_line_in_doubt_belongs_to_the_sessions_object_until_the_newest_one_decides(
    lines: Lines, *, restarts: bool
) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    if restarts:
        lines.restarts()
    assert lines.says("down", 2) == []  # so it was A's
    assert lines.says("update", 9) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_a_line_in_doubt_was_of_the_newest_object_if_a_state_continues_it(lines: Lines, *, restarts: bool) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    if restarts:
        lines.restarts()
    assert lines.says("down", 9) == []  # so it was B's
    assert lines.says("connected", 10) == []
    assert lines.says("update", 4) == [(3, "pipe")]  # and A's count is over


def test_a_state_never_continues_the_sessions_object_without_doubt(lines: Lines) -> None:
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


def test_a_doubt_does_not_last_for_ever(lines: Lines) -> None:
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


def test_both_counts_may_be_equal_after_a_doubt(lines: Lines) -> None:
    lines.two_objects()
    lines.receiver_starts()
    lines.says("update", 8)
    lines.all_say("down", 2, 8)
    assert lines.says("down", 9) == []  # B's
    assert lines.says("update", 9) == []  # A's


def test_a_state_in_doubt_may_be_of_the_old_object_or_of_an_unknown_one(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("down", 8) == [(None, "pipe")]
    assert lines.says("update", 4) == [(None, "pipe")]  # its session goes on, or that of an object in between
    assert lines.says("update", 5) == []
    assert lines.says("down", 9) == []


def test_a_second_doubt_keeps_the_sessions_object(lines: Lines) -> None:
    lines.two_objects()
    lines.reloads_once()
    lines.receiver_starts()
    assert lines.says("down", 2) == [(None, "pipe")]  # B's, or C's with one lost
    assert lines.says("update", 4) == [(None, "pipe")]  # A's, or that of an object in between
    assert lines.says("update", 5) == []


def test_equal_counts_lack_the_same_number_of_lines(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 3)
    lines.drops(2)
    assert lines.says("update", 6) == [(2, "disk")]


def test_between_two_objects_another_may_have_come(lines: Lines) -> None:
    """All of its lines are lost, except those that its session gives now."""
    lines.all_say("update", 1, 2)
    lines.reloads_once()
    lines.receiver_starts()
    lines.reloads_once()
    lines.all_say("down", 1, 1)
    assert lines.says("update", 5) == [(None, "pipe")]


@pytest.mark.parametrize(("most", "lost"), [(5, 4), (6, None)])
def test_the_other_object_cannot_have_lost_more_than_was_lost(lines: Lines, most: int, lost: int | None) -> None:
    lines.two_objects()
    lines.drops(most)
    assert lines.says("update", 8) == [(lost, "disk")]  # A's, with 4 lost, or B's, with 6


def test_an_object_with_a_higher_count_is_ruled_out(lines: Lines) -> None:
    lines.two_objects()
    lines.all_say("down", 2, 6)
    lines.drops(2)
    assert lines.says("update", 6) == [(2, "disk")]


def test_the_largest_possible_loss_explains_a_jump(lines: Lines) -> None:
    """A's line, with as many lost as possible, or B's, with one less."""
    lines.two_objects()
    lines.all_say("down", 2, 4)
    lines.drops(7)
    assert lines.says("update", 11) == [(None, "disk")]
    lines.all_say("down", 5, 5)  # so it was A's


def test_an_impossible_loss_explains_nothing(lines: Lines) -> None:
    """A's count is too low: so many lines were never in the pipe."""
    lines.two_objects()
    lines.all_say("down", 2, PIPE)
    lines.receiver_starts()
    assert lines.says("update", 3 + PIPE + 2) == [(4, "pipe"), (None, "pipe")]  # and A's last lines


def test_a_count_seen_after_the_loss_is_not_in_doubt(lines: Lines) -> None:
    lines.two_objects()
    lines.drops(4)
    lines.all_say("down", 2, 2)
    assert lines.says("update", 6) == [(2, "disk")]  # B has lost nothing since


def test_a_reload_after_the_loss_explains_nothing(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.receiver_starts()
    lines.reloads_once()
    assert lines.says("update", 6) == [(2, "pipe")]


def test_another_count_may_exist_from_the_first_reload_on(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    lines.receiver_starts()
    lines.reloads_once()
    assert lines.says("update", 6) == [(None, "pipe")]


def test_a_receiver_that_knows_of_no_reloads_reports_none(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.receiver_starts(counts=False)
    assert lines.says("update", 6) == [(2, "pipe")]


def test_a_reload_may_be_reported_by_a_receiver_whose_exabgp_has_ended(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads += 1
    lines.receiver_starts(pid=0, incarnation=None)
    assert lines.says("update", 6) == [(None, "pipe")]


def test_a_reload_may_be_reported_only_by_the_next_receiver(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads += 1
    lines.receiver_starts()
    assert lines.says("update", 6) == [(None, "pipe")]


@pytest.mark.parametrize(("most", "lost"), [(2, 2), (3, None)])
def test_as_many_lines_may_be_lost_as_the_disk_refused(lines: Lines, most: int, lost: int | None) -> None:
    lines.all_say("update", 1, 1)
    lines.reloads_once()
    lines.drops(most)
    assert lines.says("update", 4) == [(lost, "disk")]  # A's, or B's with 3 lost


def test_the_next_number_after_a_loss_may_be_of_another_object(lines: Lines) -> None:
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
def test_losses_remembered_together_are_bounded_by_what_is_known(lines: Lines, counter: int, lost: int | None) -> None:
    """A neighbour heard between the second and the third of 17 losses can have lost 15 lines."""
    lines.drops(1)
    lines.drops(1)
    lines.all_say("up", 1, 1)
    lines.reloads_once()
    for _ in range(15):
        lines.drops(1)
    assert lines.says("update", counter) == [(lost, "disk")]


def test_records_that_the_spool_lost_may_be_of_any_neighbour(lines: Lines) -> None:
    lines.all_say("update", 1, 3)
    lines.reloads_once()
    assert lines.counting.hole(lines.number, BEGIN, lines.now, 5)
    assert lines.says("update", 6) == [(None, "spool")]
