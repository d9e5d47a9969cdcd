"""A NOTIFICATION closes its connection (RFC 4271 6), whichever source reports it, even if nothing else says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collector.archive.session_tracker import SessionTracker
from collector.bgp import messages as bgp
from collector.bgp.notifications import notification
from collector.bgp.open_messages import Abilities, open_message
from collector.sources.exabgp.source import EXABGP
from collector.sources.mrt.source import MRT
from collector.sources.pcap.records import Capture
from collector.sources.pcap.source import PCAP
from collector.sources.ris_live.source import RIS_LIVE
from collector.sources.source import Rejection, Source
from schemas.documents import Gap, Place, Session
from tests import capture_builder as build
from tests.bmp_builder import PeerOf, tlv
from tests.mrt_builder import announcement, announcement6, message, state_change
from tests.support import Router
from tests.unit import test_bmp_connections as bmp
from tests.unit.test_captures import established

T = 1_800_000_000
OPEN = open_message(64500, 90, "192.0.2.9", Abilities(as4=True, families=frozenset()))
HELLO = notification(6, 2, b"\5hello")
WORDS = "Cease / Administrative Shutdown: hello"


class Feed:
    """A tracker that is saved and restored after each record."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tracker = SessionTracker(source, "test")
        self.line = 0
        self.found: dict[Any, Session] = {}
        self.gaps: list[Gap] = []

    def take(self, *records: bytes) -> list[Place]:
        places = []
        for raw in records:
            decoded = self.source.decode(raw)
            if isinstance(decoded, Rejection):
                places.append(self.tracker.reject(self.line, self.source.counted(raw, len(raw)), decoded.reason))
            else:
                places.append(self.tracker.follow(self.line, decoded))
            self.line += 1
            self.found.update((one.key, one) for one in self.tracker.take_changed())
            self.gaps += self.tracker.take_gaps()
            note = json.loads(json.dumps(self.tracker.note()))
            self.tracker = SessionTracker(self.source, "test", note=note)
        return places

    @property
    def sessions(self) -> list[Session]:
        return list(self.found.values())


def said(data: bytes, at: int, *, local: bool = False) -> bytes:
    return message(data, time=T + at, subtype=7 if local else 4)


def route(prefix: str, at: int) -> bytes:
    return said(announcement(prefix, 64500), at)


UP = state_change(5, 6, time=T)


@pytest.mark.parametrize(
    ("local", "by", "reason"),
    [
        (False, "peer", f"NOTIFICATION received: {WORDS}"),
        (True, "router", f"NOTIFICATION sent: {WORDS}"),
    ],
    ids=["received", "sent"],
)
def test_it_ends_an_imported_session(local: bool, by: str, reason: str) -> None:
    feed = Feed(MRT)
    *_, place = feed.take(UP, route("10.0.0.0/8", 1), said(HELLO, 2, local=local))
    (session,) = feed.sessions
    assert (session.until, session.ended_by, session.reason) == (place.ts, by, reason)
    assert session.notification
    assert place.session == session.key
    assert session.until_line == 3, "it belongs to the session itself"
    feed.tracker.end_all(MRT.silence)
    assert feed.tracker.take_changed() == []


def test_a_state_change_behind_it_belongs_to_the_session_that_it_ended() -> None:
    feed = Feed(MRT)
    *_, down = feed.take(UP, route("10.0.0.0/8", 1), said(HELLO, 2), state_change(6, 1, time=T + 3))
    (session,) = feed.sessions
    assert (session.until, session.until_line) == (down.ts, 3)
    assert (session.reason, session.ended_by) == (f"NOTIFICATION received: {WORDS}", "peer")
    assert down.session == session.key


def test_an_open_behind_it_begins_another_session() -> None:
    feed = Feed(MRT)
    feed.take(UP, route("10.0.0.0/8", 1), said(HELLO, 2))
    *_, place = feed.take(said(OPEN, 8), said(bgp.KEEPALIVE, 9), route("10.1.0.0/16", 10))
    first, second = feed.sessions
    assert (first.updates, second.updates, second.router_id) == (1, 1, "192.0.2.9")
    assert place.session == second.key
    assert second.began == "up", "all of it is in the file"
    assert feed.gaps == []


def test_updates_behind_it_without_an_open_are_of_a_session_whose_beginning_is_not_in_the_file() -> None:
    feed = Feed(MRT)
    feed.take(UP, route("10.0.0.0/8", 1), said(HELLO, 2), said(bgp.KEEPALIVE, 2), route("10.1.0.0/16", 2))
    first, second = feed.sessions
    assert first.until is not None
    assert (second.began, second.updates, second.until) == ("seen", 1, None)
    assert [gap.cause for gap in feed.gaps] == ["session"]


@pytest.mark.parametrize(("code", "subcode"), [(6, 7), (2, 2), (5, 1), (5, 2)])
def test_one_that_only_another_connection_can_have_ends_nothing(code: int, subcode: int) -> None:
    """Such as that which loses a collision with the session (RFC 4271 6.8)."""
    feed = Feed(MRT)
    feed.take(UP, route("10.0.0.0/8", 1), said(OPEN, 2), said(notification(code, subcode), 2), route("10.1.0.0/16", 3))
    (session,) = feed.sessions
    assert (session.updates, session.until) == (2, None)
    assert feed.gaps == []


def test_it_ends_a_session_of_exabgp_whose_down_is_lost() -> None:
    router, feed = Router(), Feed(EXABGP)
    told = {"code": 6, "subcode": 2, "data": "0x00", "message": 'Shutdown Communication: "hello"'}
    feed.take(*router.up(), router.line("notification", direction="receive", notification=told))
    (session,) = feed.sessions
    assert (session.reason, session.ended_by) == (f"NOTIFICATION received: {WORDS}", "peer")
    assert session.until


def test_it_ends_a_session_of_ris_live() -> None:
    def line(kind: str, at: int, **more: Any) -> bytes:
        data = {"timestamp": T + at, "peer": "192.0.2.1", "peer_asn": "64500", "host": "rrc21", "type": kind, **more}
        return b"%d.000000 " % (T + at) + json.dumps({"type": "ris_message", "data": data}).encode()

    feed = Feed(RIS_LIVE)
    feed.take(line("RIS_PEER_STATE", 0, state="up"), line("NOTIFICATION", 2, raw=HELLO.hex()))
    (session,) = feed.sessions
    assert (session.reason, session.ended_by) == (f"NOTIFICATION received: {WORDS}", "peer")


def test_a_mirrored_one_ends_all_tables_that_the_router_reports_of_the_peer() -> None:
    feed, peer = bmp.begun(), bmp.PEER
    feed.say(peer.mirror(tlv(0, HELLO)))
    assert feed.up() == {}
    assert {(one.reason, one.ended_by) for one in feed.ended().values()} == {
        (f"NOTIFICATION received: {WORDS}", "peer")
    }
    feed.say(peer.route(bmp.ROUTE))  # what the router had not sent yet
    feed.say(peer.down(3, HELLO))
    assert feed.up() == {}
    assert len(feed.ended()) == 3
    feed.say(peer.up(), peer.route(bmp.ROUTE))
    assert {one.began for one in feed.up().values()} == {"up"}
    assert feed.gaps == []


def test_the_same_session_may_be_reported_again_after_a_mirrored_one() -> None:
    feed, peer = bmp.begun(), PeerOf()
    feed.say(peer.mirror(tlv(0, HELLO)))
    feed.lose()
    feed.connect()
    feed.say(peer.up(), peer.route(bmp.ROUTE))
    assert feed.up().keys() == {bmp.name(peer), bmp.name(peer, "pre-policy")}


@pytest.mark.parametrize("ending", ["notification", "connection"])
def test_what_was_in_flight_in_a_capture_belongs_to_no_session(tmp_path: Path, ending: str) -> None:
    talk = established(build.Talk())
    talk.say(announcement("10.0.0.0/8", 64500))
    if ending == "notification":
        talk.say(HELLO)
        talk.say(announcement6("2001:db8::/32", 64501), bgp.KEEPALIVE, by_client=False)
        talk.finish()
    else:
        talk.finish()
        talk.say(announcement6("2001:db8::/32", 64501), bgp.KEEPALIVE, by_client=False)
    path = tmp_path / "capture"
    path.write_bytes(build.pcap(talk.frames, build.ETHERNET))
    feed = Feed(PCAP)
    places = feed.take(*(frame.raw for frame in Capture(path).open(path, lambda _: None).frames()))
    assert [session.until is None for session in feed.sessions] == [False, False]
    assert [place.session for place in places[-2:]] == [None, None]
    assert feed.gaps == []
