from datetime import datetime
from typing import Any

import pytest

from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import Place, Session, to_document, to_message
from schemas.keys import key_line
from tests.support import Router

HELPER = b'{"bgpledger": "receive", "event": "start", "time": %f, "pid": 9, "ppid": %d}'


class Feed:
    """A tracker, and the lines that it has followed."""

    def __init__(self, *ranges: str) -> None:
        self.ranges = ranges
        self.tracker = SessionTracker(EXABGP, "test", ranges)
        self.number = 0
        self.sessions: dict[Any, Session] = {}

    def take(self, *lines: bytes) -> list[Place]:
        places = []
        for line in lines:
            message = decode(line)
            assert not isinstance(message, Rejection)
            places.append(self.tracker.follow(self.number, message))
            self.number += 1
        for session in self.tracker.take_changed():
            self.sessions[session.key] = session
        return places

    def restart(self) -> None:
        """Start again from the spool's note, as the archiver does after its death."""
        self.tracker = SessionTracker(EXABGP, "test", self.ranges, self.tracker.note())

    @property
    def only(self) -> Session:
        (session,) = self.sessions.values()
        return session


def seconds(moment: datetime | None) -> float:
    assert moment is not None
    return round(moment.timestamp() - 1.8e9, 3)


def notification(router: Router, code: int, subcode: int, message: str) -> bytes:
    said = {"code": code, "subcode": subcode, "data": "0x00", "message": message}
    return router.line("notification", direction="receive", notification=said)


def test_a_receiver_that_started_after_its_lines_ends_no_session_too_late() -> None:
    """Two ExaBGPs died soon, and the lines of the second were in its pipe when its second receiver started. The
    first session is known to have been up until its last line, and no longer.
    """
    feed, first, second = Feed(), Router(pid=100), Router(pid=200, start=1.8e9 + 10)
    feed.take(HELPER % (1.8e9, 100), *first.up())
    feed.take(HELPER % (1.8e9 + 20, 0), *second.up())
    one, two = feed.sessions.values()
    assert (one.ended_by, seconds(one.until), seconds(two.since)) == ("collector", 1.0, 11.0)


def test_the_reason_includes_the_shutdown_communication() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), notification(router, 6, 2, 'Shutdown Communication: "at\x1b noon"'))
    feed.restart()
    feed.take(router.down("notification received (6,2)"))
    assert feed.only.reason == "NOTIFICATION received: Cease / Administrative Shutdown: at noon"
    assert feed.only.ended_by == "peer"
    assert feed.only.notification is not None
    assert feed.only.notification.model_dump() == {
        "direction": "received",
        "code": 6,
        "subcode": 2,
        "data": b"\x08at\x1b noon".hex(),
    }


def test_a_notification_of_another_session_is_not_this_sessions() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), notification(router, 6, 2, 'Shutdown Communication: "at noon"'), router.down(""))
    feed.take(*router.up(), router.down("notification received (6,2)"))
    assert [session.reason for session in feed.sessions.values()][1] == (
        "NOTIFICATION received: Cease / Administrative Shutdown"
    )


@pytest.mark.parametrize("restarts", [False, True])
def test_a_session_that_goes_on_after_its_down_has_not_ended(restarts: bool) -> None:
    """This happens when ExaBGP refuses a second connection of the peer, and reports that as the peer's `down`."""
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.announce("10.0.0.0/8"), router.down("notification sent (6,7)"))
    assert feed.only.until is not None
    if restarts:
        feed.restart()
    (place,) = feed.take(router.keepalive())
    feed.take(router.announce("10.1.0.0/16"))
    session = feed.only
    assert place.session == session.key
    assert (session.until, session.ended_by, session.reason, session.notification) == (None, None, None, None)
    assert (session.updates, session.keepalives) == (2, 1)
    feed.take(router.down())
    assert feed.only.ended_by == "peer"


def test_messages_after_a_down_and_lost_lines_are_of_another_session() -> None:
    """Its `up` may be among the lost lines."""
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.announce("10.0.0.0/8"), router.down())
    router.counter += 3
    feed.take(router.announce("10.1.0.0/16"))
    first, second = feed.sessions.values()
    assert (first.updates, second.updates, second.began) == (1, 1, "seen")
    assert first.until is not None


def test_another_session_is_never_mistaken_for_the_previous_one() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.announce("10.0.0.0/8"), router.down(), router.down("no connection: timed out"))
    feed.take(*router.up(), router.announce("10.0.0.0/8"), router.keepalive())
    assert [session.updates for session in feed.sessions.values()] == [1, 1]


def test_a_session_lasts_from_up_to_down() -> None:
    router, feed = Router(), Feed()
    before = feed.take(*router.up())
    inside = feed.take(router.announce("10.0.0.0/8", "10.1.0.0/16"), router.keepalive(), router.withdraw("10.0.0.0/8"))
    (end,) = feed.take(router.down("peer reset, message (notification received (6,2)) error(Cease)"))
    session = feed.only
    assert [place.session for place in before] == [None, None, None, session.key]
    assert {place.session for place in [*inside, end]} == {session.key}
    assert key_line(session.key) == 3
    assert (session.began, session.ended_by) == ("up", "peer")
    assert (session.updates, session.announced, session.withdrawn, session.keepalives) == (2, 2, 1, 1)
    assert (session.hold_time, session.router_id) == (180, "192.0.2.1")
    assert session.capabilities is not None
    assert [capability["code"] for capability in session.capabilities] == [1, 65]
    assert (seconds(session.since), seconds(session.until)) == (1.0, 2.0)
    assert seconds(session.last_keepalive) == 1.5
    (after,) = feed.take(router.line("state", state="connected"))
    assert after.session is None


def test_the_keepalive_that_confirms_the_open_counts_as_the_last_one() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    assert (seconds(feed.only.last_keepalive), feed.only.keepalives) == (0.75, 0)


def test_refused_connections_open_no_session() -> None:
    router, feed = Router(), Feed()
    feed.take(router.line("state", state="connected"), router.down(), router.line("state", state="connected"))
    assert feed.sessions == {}


def test_our_own_stop_is_not_attributed_to_the_peer() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.down("stop, message [shutting down]"))
    assert feed.only.ended_by == "collector"


def test_a_notification_that_exabgp_sent_is_not_the_peers() -> None:
    router, feed = Router(), Feed()
    said = {"code": 3, "subcode": 9, "data": "0x" + b"malformed".hex(), "message": "malformed"}
    feed.take(*router.up(), router.line("notification", direction="send", notification=said))
    feed.take(router.down("notification sent (3,9)"))
    assert feed.only.ended_by == "exabgp"
    assert feed.only.reason == "NOTIFICATION sent: UPDATE Message Error / Optional Attribute Error: malformed"


def test_an_archivers_restart_changes_nothing() -> None:
    router, feed, other = Router(), Feed(), Feed()
    lines = [*router.up(), router.announce("10.0.0.0/8"), router.keepalive(), router.down()]
    for line in lines:
        feed.take(line)
        feed.restart()
    other.take(*lines)
    assert feed.sessions == other.sessions


def test_a_new_exabgp_ends_the_sessions_of_the_old_one() -> None:
    old, quiet, feed = Router(pid=100), Router("192.0.2.2", pid=100), Feed()
    feed.take(*old.up(), *quiet.up(), old.keepalive())
    feed.take(HELPER % (1.8e9 + 60, 200))
    assert {session.ended_by for session in feed.sessions.values()} == {"collector"}
    assert [seconds(session.until) for session in feed.sessions.values()] == [1.25, 1.25]


def test_a_new_exabgp_is_also_recognised_by_its_number() -> None:
    old, feed = Router(pid=100), Feed()
    feed.take(*old.up())
    feed.take(*Router(pid=200, start=1.8e9 + 60).up())
    first, second = feed.sessions.values()
    assert (first.ended_by, second.until) == ("collector", None)
    assert first.exabgp_pid == 100


def test_a_new_exabgp_may_have_the_old_number() -> None:
    feed = Feed()
    feed.take(*Router(pid=7).up())
    feed.take(*Router(pid=7, start=1.8e9 + 60).up())
    first, second = feed.sessions.values()
    assert (first.ended_by, second.until) == ("collector", None)


def test_a_new_receiver_of_the_same_exabgp_continues_the_session() -> None:
    router, feed = Router(pid=100), Feed()
    feed.take(*router.up(), HELPER % (1.8e9 + 1.1, 100), router.keepalive())
    assert feed.only.until is None


def test_a_session_may_lack_its_beginning() -> None:
    router, feed = Router(), Feed()
    router.up()
    (place,) = feed.take(router.announce("10.0.0.0/8"))
    assert feed.only.began == "seen"
    assert place.session == feed.only.key


def test_a_session_may_lack_its_end() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    router.down()
    feed.take(*router.up())
    first, second = feed.sessions.values()
    assert (seconds(first.until), second.until) == (2.0, None)


def test_a_shutdown_ends_the_remaining_sessions() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    feed.take(
        b'{"exabgp": "5.0.0", "time": 1800000005.0, "pid": 100, "type": "notification", "notification": "shutdown"}'
    )
    assert (feed.only.ended_by, seconds(feed.only.until)) == ("collector", 5.0)


def test_answers_and_rejects_have_the_last_known_time() -> None:
    router, feed = Router(), Feed()
    feed.take(router.keepalive())
    (place,) = feed.take(b"done")
    assert seconds(place.ts) == 0.25
    assert feed.tracker.reject(9).key > place.key


def test_stored_time_never_runs_backwards_and_a_clock_that_was_set_back_is_noticed() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.announce("10.0.0.0/8"))
    router.time -= 25
    lines = [router.withdraw("10.0.0.0/8"), router.keepalive()]
    places = feed.take(*lines)
    assert [seconds(place.ts) for place in places] == [1.25, 1.25]
    assert [place.key for place in places] == sorted(place.key for place in places)
    message = decode(lines[0])
    assert not isinstance(message, Rejection)
    document = to_document(message, places[0])
    assert (seconds(document["ts"]), seconds(document["clock"])) == (1.25, -23.5)
    assert to_message(document) == message
    feed.restart()
    feed.take(router.keepalive())
    note = feed.tracker.note()
    assert (note["steps"], note["stepped"]["line"]) == (1, 5)
    assert [note["stepped"][at][-10:-5] for at in ("before", "after")] == ["01.25", "36.50"]
    assert (seconds(feed.only.last_seen), feed.only.until) == (1.25, None)


CLOCK = b'{"bgpledger": "receive", "event": "clock", "time": %f, "pid": 9, "ppid": 100, "step": %f}'


def test_a_clock_that_was_set_forward_is_noticed_and_moves_no_line_that_is_older() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up())
    step, older = feed.take(CLOCK % (1.8e9 + 3601, 3600.0), router.keepalive())
    router.time += 3600
    (newer,) = feed.take(router.keepalive())
    assert [seconds(place.ts) for place in (step, older, newer)] == [3601, 1.25, 3601.5]
    feed.restart()
    note = feed.tracker.note()
    assert (note["steps"], note["stepped"]["line"]) == (1, 4)
    assert [note["stepped"][at][-10:-1] for at in ("before", "after")] == ["T08:00:01", "T09:00:01"]


def test_a_clock_that_was_set_back_is_counted_once() -> None:
    """The receiver notices it, and then ExaBGP's lines show it, except those that were already in the pipe."""
    router, feed = Router(), Feed()
    feed.take(*router.up(), CLOCK % (1.8e9 - 59, -60.0), router.keepalive())
    router.time -= 60
    feed.restart()
    feed.take(router.keepalive(), router.keepalive())
    assert feed.tracker.note()["steps"] == 1
    router.time -= 0.375
    feed.take(router.keepalive())
    assert feed.tracker.note()["steps"] == 2, "too small for the receiver"


def test_a_session_without_its_open_is_asked_by_the_peers_earlier_capabilities() -> None:
    router, feed = Router(), Feed()
    feed.take(*router.up(), router.down())
    assert feed.tracker.capabilities(router.address) is None
    router.up()
    feed.restart()
    feed.take(router.announce("10.0.0.0/8"))
    offered = feed.tracker.capabilities(router.address)
    assert offered is not None
    assert [one["code"] for one in offered] == [1, 65]
    assert feed.sessions[max(feed.sessions)].capabilities is None, "what it said in this one is not known"
    stranger = Router("192.0.2.9")
    stranger.up()
    feed.take(stranger.announce("10.0.0.0/8"))
    assert feed.tracker.capabilities(stranger.address) == []
