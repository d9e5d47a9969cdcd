"""Missing lines are found and counted: no more, no less."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import counted, decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import Gap
from tests.support import SHARED, Router

BEGIN = 1.8e9


class Feed:
    """A tracker, the lines that it has followed, and the gaps between them."""

    def __init__(self, *ranges: str) -> None:
        self.ranges = ranges
        self.tracker = SessionTracker(EXABGP, "test", ranges)
        self.number = 0
        self.gaps: list[Gap] = []

    def take(self, *lines: bytes) -> None:
        for line in lines:
            message = decode(line)
            if isinstance(message, Rejection):
                self.tracker.reject(self.number, counted(line, len(line)), message.reason)
            else:
                self.tracker.follow(self.number, message)
            self.number += 1
        self.gaps += self.tracker.take_gaps()

    def restart(self) -> None:
        self.tracker = SessionTracker(EXABGP, "test", self.ranges, json.loads(json.dumps(self.tracker.note())))

    @property
    def summaries(self) -> list[tuple[str | None, int | None, str]]:
        return [(gap.peer.address if gap.peer else None, gap.lines, gap.cause) for gap in self.gaps]


def marker(event: str, at: float, *, ppid: int = 100, **more: Any) -> bytes:
    line = {"bgpledger": "receive", "event": event, "time": BEGIN + at, "pid": 9, "ppid": ppid, **more}
    return json.dumps(line).encode()


def seconds(moment: datetime | None) -> float | None:
    return (moment - datetime.fromtimestamp(BEGIN, UTC)).total_seconds() if moment else None


def test_lost_lines_are_a_gap_of_their_number() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    lost = [router.announce("10.0.0.0/8"), router.keepalive()]
    feed.restart()
    feed.take(router.keepalive())
    (gap,) = feed.gaps
    assert (gap.lines, seconds(gap.after), seconds(gap.ts)) == (len(lost), 1.0, 1.75)
    assert feed.summaries == [("192.0.2.1", 2, "pipe")]
    assert feed.tracker.note()["gaps"]["lost"] == 2


def test_lines_lost_without_a_session_are_a_gap_as_well() -> None:
    router, feed = Router(), Feed()
    connected, *_ = router.up()
    feed.take(connected, router.keepalive())
    assert feed.summaries == [("192.0.2.1", 3, "pipe")]


def test_lines_lost_before_the_very_first_line_are_a_gap() -> None:
    router, feed = Router(), Feed()
    router.up()
    feed.take(marker("start", 0), router.keepalive())
    (gap,) = feed.gaps
    assert (gap.lines, gap.after) == (4, None)


def broken(line: bytes) -> bytes:
    return line.replace(b'"192.0.2.254"}', b"NaN 1}").replace(b'"direction": "receive"', b'"direction": "receive" !')


def test_a_line_that_cannot_be_read_is_not_lost_but_leaves_its_mark() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    feed.take(broken(router.announce("10.0.0.0/8")), router.keepalive())
    assert feed.summaries == [("192.0.2.1", 1, "reject")]
    (gap,) = feed.gaps
    assert (seconds(gap.ts), gap.line) == (1.25, 4)
    assert gap.reason is not None
    assert gap.reason.startswith("not valid JSON")
    assert feed.tracker.note()["gaps"]["lost"] == 0


def test_a_known_peer_whose_as_is_not_printed_leaves_its_mark() -> None:
    """ExaBGP does so with `peer-as auto`, which a configuration that is not ours may have."""
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.keepalive()
    feed.take(router.announce("10.0.0.0/8").replace(b'"peer": 64500}', b'"peer": None}'), router.keepalive())
    assert feed.summaries == [("192.0.2.1", 1, "pipe"), ("192.0.2.1", 1, "reject")]
    assert [gap.peer.asn for gap in feed.gaps if gap.peer] == [64500, 64500]


def test_a_line_without_routes_leaves_no_mark_when_it_cannot_be_read() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), broken(router.keepalive()), router.keepalive())
    assert feed.summaries == []


def test_an_unreadable_line_after_lost_ones_leaves_both_marks() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.keepalive()
    feed.take(broken(router.announce("10.0.0.0/8")))
    assert feed.summaries == [("192.0.2.1", 1, "pipe"), ("192.0.2.1", 1, "reject")]
    assert len({gap.key for gap in feed.gaps}) == 2


def test_a_torn_line_is_lost() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    feed.take(router.announce("10.0.0.0/8")[:300], router.keepalive())
    assert feed.summaries == [("192.0.2.1", 1, "pipe")]


def test_peers_of_a_range_share_a_counter() -> None:
    one, two = Router("192.0.2.1"), Router("192.0.2.2")
    feed = Feed("192.0.2.0/24")
    feed.take(*one.up())
    two.counter = one.counter
    feed.take(*two.up())
    one.counter = two.counter + 3
    feed.take(one.keepalive())
    assert feed.summaries == [("192.0.2.0/24", 3, "pipe")]


def test_another_exabgp_after_a_drained_pipe_lost_nothing() -> None:
    old, feed = Router(pid=100), Feed()
    feed.take(marker("start", 0), *old.up(), marker("end", 5), marker("start", 60, ppid=200))
    feed.take(*Router(pid=200, start=BEGIN + 60).up())
    assert feed.summaries == []


def test_another_exabgp_after_a_shutdown_lost_nothing() -> None:
    old, feed = Router(pid=100), Feed()
    shutdown = json.dumps(
        {"exabgp": "5.0.0", "time": BEGIN + 5, "host": "h", "pid": 100, "ppid": 1, "notification": "shutdown"}
    )
    feed.take(*old.up(), shutdown.encode(), marker("start", 60, ppid=200))
    assert feed.summaries == []


def test_how_many_lines_are_lost_is_unknown_if_exabgp_and_receiver_died_together() -> None:
    old, quiet, feed = Router(pid=100), Router("192.0.2.2", pid=100), Feed()
    feed.take(marker("start", 0), *old.up(), *quiet.up(), marker("start", 60, ppid=200))
    assert feed.summaries == [("192.0.2.1", None, "end"), ("192.0.2.2", None, "end")]
    assert [seconds(gap.ts) for gap in feed.gaps] == [60, 60]
    assert len({gap.key for gap in feed.gaps}) == 2
    feed.take(marker("start", 90, ppid=300))
    assert len(feed.gaps) == 2, "there were no words since"


def test_another_exabgp_with_the_old_number_is_recognised_by_its_incarnation() -> None:
    old, feed = Router(pid=7), Feed()
    feed.take(marker("start", 0, ppid=7, incarnation="a/1"), *old.up())
    feed.take(marker("start", 1.1, ppid=7, incarnation="a/1"), old.keepalive())
    assert feed.summaries == []
    feed.take(marker("start", 60, ppid=7, incarnation="a/2"))
    assert feed.summaries == [("192.0.2.1", None, "end")]
    assert [session.ended_by for session in feed.tracker.take_changed()] == ["collector"]


def test_a_receiver_that_was_started_too_late_to_know_its_exabgp() -> None:
    """ExaBGP was killed right after it had started another receiver, which reads ExaBGP's last lines all the same."""
    router, feed = Router(pid=100), Feed()
    feed.take(marker("start", 0), *router.up())
    router.keepalive()
    feed.take(marker("start", 2, ppid=0), router.keepalive(), marker("end", 3, ppid=0), marker("start", 60, ppid=200))
    assert feed.summaries == [("192.0.2.1", 1, "pipe")]


def test_how_many_lines_a_receiver_held_is_unknown_if_exabgp_died_too() -> None:
    """Its successor started too late to know their ExaBGP, and read everything that was left."""
    router, feed = Router(pid=100), Feed()
    feed.take(marker("start", 0), *router.up())
    feed.take(marker("start", 2, ppid=0), marker("end", 3, ppid=0), marker("start", 60, ppid=200))
    assert feed.summaries == [("192.0.2.1", None, "pipe")]


def test_an_exabgp_whose_receiver_started_too_late_is_not_the_previous_one() -> None:
    """Its first receiver was killed before it wrote anything, and then ExaBGP itself was killed."""
    feed = Feed()
    feed.take(marker("start", 0), *Router(pid=100).up(), marker("end", 3))
    feed.take(marker("start", 60, ppid=0), *Router(pid=200, start=BEGIN + 50).up(), marker("end", 61, ppid=0))
    assert feed.summaries == []
    feed.take(marker("start", 70, ppid=0), marker("start", 80, ppid=300))
    assert feed.summaries == [("192.0.2.1", None, "end")], "whatever the last one had"


def test_sessions_end_with_their_exabgp_and_not_when_another_one_begins() -> None:
    feed = Feed()
    feed.take(marker("start", 0), *Router(pid=100).up(), marker("end", 5, ended=True))
    (session,) = feed.tracker.take_changed()
    assert (session.ended_by, seconds(session.until)) == ("collector", 1), "as it was heard last"
    feed.take(marker("start", 60, ppid=200))
    assert (feed.summaries, list(feed.tracker.take_changed())) == ([], [])


def test_a_receiver_that_died_before_it_wrote_anything_may_have_lost_lines() -> None:
    router, feed = Router(pid=100), Feed()
    feed.take(marker("start", 0), *router.up(), marker("end", 3))
    feed.take(marker("start", 4), marker("start", 5), marker("end", 6), marker("start", 60, ppid=200))
    assert feed.summaries == [("192.0.2.1", None, "pipe")]


def test_lines_that_the_full_disk_refused_are_a_gap() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    lost = [router.announce("10.0.0.0/8"), router.keepalive()]
    feed.take(marker("dropped", 2, since=BEGIN + 1, lines=2, bytes=700, reason="No space left on device"))
    feed.take(router.keepalive())
    everybody, _ = feed.gaps
    assert (everybody.peer, everybody.lines, everybody.reason) == (None, len(lost), "No space left on device")
    assert (seconds(everybody.after), seconds(everybody.ts)) == (1, 2)
    assert feed.summaries[1] == ("192.0.2.1", 2, "disk")
    assert feed.tracker.note()["gaps"]["lost"] == 2, "they are the same lines"


def test_a_missing_part_of_the_spool_is_a_gap() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.keepalive()
    feed.number += 1
    feed.take(router.keepalive())
    assert feed.summaries == [(None, 1, "spool"), ("192.0.2.1", 1, "spool")]


def test_a_reload_starts_a_new_count_of_a_neighbour() -> None:
    """ExaBGP counts per neighbour object, and a reload makes new ones under the same process number."""
    one, two, feed = Router(), Router("192.0.2.2"), Feed()
    feed.take(marker("start", 0), *one.up(), *two.up(), one.announce("10.0.0.0/8"), one.down())
    one.counter = 0
    feed.take(*one.up(), two.keepalive(), one.keepalive())
    assert feed.summaries == []
    one.counter = 0
    one.keepalive()
    feed.take(one.keepalive())
    assert feed.summaries == [("192.0.2.1", 1, "pipe")], "its first line is not there"


def test_last_lines_of_an_object_after_another_has_begun_hide_nothing() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.keepalive())
    before, router.counter = router.counter, 0
    feed.take(router.line("state", state="connected"))
    router.counter = before
    feed.take(router.keepalive(), router.keepalive())
    assert feed.summaries == []


@pytest.mark.parametrize("reloaded", [False, True])
def test_a_count_that_goes_on_may_be_that_of_a_reloaded_neighbour(*, reloaded: bool) -> None:
    """The next number may as well be the fifth of another object, the first four of which were dropped."""
    router, feed = Router(), Feed()
    feed.take(*router.up())
    if reloaded:
        feed.take(marker("reload", 1.1, reloads=1))
    feed.take(marker("dropped", 1.2, since=BEGIN + 1.1, lines=4, bytes=99, reason="full"), router.keepalive())
    assert [one for one in feed.summaries if one[0]] == ([("192.0.2.1", None, "disk")] if reloaded else [])


def test_a_loss_that_a_reload_may_hide_is_reported_without_a_number() -> None:
    """The receiver died, and the neighbour's count began again meanwhile: nobody knows how far it had come."""
    router, feed = Router(pid=100), Feed()
    feed.take(marker("start", 0), *router.up(), marker("start", 2))
    router.counter = 0
    feed.take(router.keepalive(), router.keepalive())
    assert feed.summaries == [("192.0.2.1", None, "pipe")]


@given(st.lists(st.booleans(), max_size=40))
def test_any_loss_is_counted(arrives: list[bool]) -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    for one in arrives:
        line = router.keepalive()
        if one:
            feed.take(line)
    feed.take(router.keepalive())
    assert sum(gap.lines or 0 for gap in feed.gaps) == arrives.count(False)


def test_the_count_of_every_recorded_line_can_be_read() -> None:
    """For both versions of ExaBGP, if they are here."""
    router = Router("2001:db8::1", 4200000001)
    lines = [router.keepalive()]
    for file in sorted((SHARED / "exabgp-json").glob("*.jsonl")):
        lines += [line for line in file.read_bytes().split(b"\n") if b'"counter"' in line[:300]]
    for line in lines:
        message, said = decode(line), counted(line, len(line))
        if isinstance(message, Rejection):
            assert said or not line.endswith(b"}"), line[:500]
        elif peer := getattr(message, "peer", None):
            source = message.source  # type: ignore[union-attr]
            assert said, line[:500]
            assert said[:3] == (peer, source.pid, source.counter), line[:500]
