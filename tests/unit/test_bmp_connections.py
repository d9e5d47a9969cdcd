"""How routers and their connections that come and go affect sessions and routes."""

from __future__ import annotations

import json
from typing import Any

from collector.archive.session_tracker import SessionTracker
from collector.bgp.notifications import notification
from collector.sources.bmp import events
from collector.sources.bmp.continuity import QUIET, UNNAMED
from collector.sources.bmp.record import Facts
from collector.sources.bmp.source import BMP
from collector.sources.source import Rejection
from collector.spool.framing import unframe
from schemas.documents import Gap, Session
from tests.bmp_builder import LOC_RIB, POST, PeerOf, end_of_rib, initiation, record, tlv, update

PEER, OTHER = PeerOf(), PeerOf("198.51.100.8", ports=(179, 44444))
LOCAL = PeerOf("0.0.0.0", kind=LOC_RIB)
ROUTER = "192.0.2.1"
ROUTE = update("203.0.113.0/24")


class Feed:
    """Passes records through a tracker that is saved and restored after each of them."""

    def __init__(self) -> None:
        self.tracker = SessionTracker(BMP, "test")
        self.line = 0
        self.time = 1.8e9
        self.sessions: dict[Any, Session] = {}
        self.gaps: list[Gap] = []

    def hear(self, raw: bytes) -> None:
        found = BMP.decode(raw)
        assert not isinstance(found, Rejection), found
        self.place = self.tracker.follow(self.line, found)
        self.line += 1
        self.sessions.update((one.key, one) for one in self.tracker.take_changed())
        self.gaps += self.tracker.take_gaps()
        note = json.loads(json.dumps(self.tracker.note()))
        self.tracker = SessionTracker(BMP, "test", note=note)

    def say(self, *messages: bytes, router: str = ROUTER, facts: Facts = Facts.PEER_IS_UP) -> None:
        for one in messages:
            self.time += 0.25
            self.hear(record(one, self.time, router=router, facts=facts))

    def event(self, made: bytes) -> None:
        self.time += 0.25
        said = json.loads(unframe(made[:-1]))
        self.hear(json.dumps({**said, "time": self.time}).encode())

    def connect(self, router: str = ROUTER) -> None:
        self.event(events.connected(router, 4711))
        self.say(initiation(), router=router)

    def lose(self, router: str = ROUTER) -> None:
        self.event(events.disconnected(router, 4711, "it was reset"))

    def up(self) -> dict[str, Session]:
        return {one.peer.name: one for one in self.sessions.values() if one.until is None}

    def ended(self) -> dict[str, Session]:
        return {one.peer.name: one for one in self.sessions.values() if one.until}


def name(peer: PeerOf, rib: str = "", router: str = ROUTER) -> str:
    return f"{peer.address} at {router} 0:0 {rib}".rstrip()


def begun() -> Feed:
    feed = Feed()
    feed.event(events.start())
    feed.connect()
    feed.say(PEER.up(), PEER.route(ROUTE), PEER.route(ROUTE, POST))
    return feed


def test_a_view_begins_with_its_peers_session() -> None:
    feed = begun()
    assert feed.up().keys() == {name(PEER), name(PEER, "pre-policy"), name(PEER, "post-policy")}
    assert all(one.began == "up" and one.router_id == "192.0.2.9" for one in feed.up().values())
    assert feed.gaps == []


def test_a_peer_down_ends_all_views_of_this_peer() -> None:
    feed = begun()
    feed.say(OTHER.up(), OTHER.route(ROUTE), LOCAL.route(ROUTE))
    feed.say(PEER.down(3, notification(6, 3)))
    assert feed.up().keys() == {name(OTHER), name(OTHER, "pre-policy"), name(LOCAL, "local")}
    assert {one.reason for one in feed.ended().values()} == {"NOTIFICATION received: Cease / Peer De-configured"}
    assert {one.ended_by for one in feed.ended().values()} == {"peer"}
    feed.say(PEER.up(), PEER.route(ROUTE))
    assert feed.up()[name(PEER, "pre-policy")].began == "up"


def test_a_lost_connection_ends_nothing_and_is_a_gap_of_every_view() -> None:
    feed = begun()
    before = feed.up()
    feed.lose()
    views = {name(PEER, "pre-policy"), name(PEER, "post-policy")}
    assert {gap.peer.name for gap in feed.gaps if gap.peer} == views
    assert {(gap.cause, gap.reason) for gap in feed.gaps} == {("router", "the BMP connection was lost: it was reset")}
    assert feed.up().keys() == before.keys()
    feed.gaps.clear()
    feed.connect()
    assert feed.gaps == []
    feed.say(PEER.up())
    assert {gap.peer.name for gap in feed.gaps if gap.peer} == views
    again = {gap.ts for gap in feed.gaps}
    feed.say(PEER.route(ROUTE), PEER.route(end_of_rib()))
    assert {one.key for one in feed.up().values()} == {one.key for one in before.values()}
    resent = feed.up()[name(PEER, "pre-policy")].resent
    assert resent
    assert [(one.family, one.end) for one in resent] == [("ipv4 unicast", feed.place.ts)]
    assert {one.begin for one in resent} == again
    assert feed.up()[name(PEER, "post-policy")].resent is None, "it has not come yet"


def test_a_table_is_complete_when_none_of_its_routes_has_come_for_some_time() -> None:
    feed = begun()
    feed.lose()
    feed.connect()
    feed.say(PEER.up(), PEER.route(ROUTE))
    feed.say(PEER.stats())
    assert feed.up()[name(PEER, "pre-policy")].resent is None
    feed.time += QUIET.total_seconds()
    feed.say(PEER.stats())
    for rib in ("pre-policy", "post-policy"):
        assert [one.family for one in feed.up()[name(PEER, rib)].resent or ()] == ["ipv4 unicast"]


def test_a_new_session_ends_the_one_whose_end_was_not_reported() -> None:
    feed = begun()
    feed.lose()
    feed.connect()
    feed.say(PeerOf(ports=(179, 55555)).up())
    assert feed.ended().keys() == {name(PEER), name(PEER, "pre-policy"), name(PEER, "post-policy")}
    assert {one.until for one in feed.ended().values()} == {feed.place.ts}
    assert feed.up().keys() == {name(PEER)}


def test_a_second_peer_up_of_one_session_changes_nothing() -> None:
    feed = begun()
    before = {one.key for one in feed.up().values()}
    feed.say(PEER.up())
    assert {one.key for one in feed.up().values()} == before
    assert feed.gaps == []


def test_a_peer_down_without_a_peer_up_is_accepted() -> None:
    feed = Feed()
    feed.connect()
    feed.say(PEER.down(2, b"\0\0"))
    assert feed.sessions == {}
    assert feed.gaps == []


def test_routes_without_a_peer_up_belong_to_a_session_of_unknown_beginning() -> None:
    feed = Feed()
    feed.connect()
    feed.say(LOCAL.route(ROUTE), facts=Facts(0))
    assert feed.up()[name(LOCAL, "local")].began == "seen"
    assert [gap.cause for gap in feed.gaps] == ["session"]
    feed.say(LOCAL.route(end_of_rib()), facts=Facts(0))
    resent = feed.up()[name(LOCAL, "local")].resent or []
    assert [one.begin for one in resent] == [feed.gaps[0].ts]
    feed.lose()
    feed.connect()
    assert [gap.cause for gap in feed.gaps] == ["session", "router", "router"]


def test_a_loc_rib_with_a_peer_up_is_one_session() -> None:
    feed = Feed()
    feed.connect()
    feed.say(LOCAL.up(), LOCAL.route(ROUTE))
    assert feed.up().keys() == {name(LOCAL, "local")}
    assert feed.gaps == []
    feed.lose()
    feed.connect()
    feed.say(LOCAL.up(), LOCAL.route(end_of_rib()))
    assert feed.up()[name(LOCAL, "local")].resent
    feed.say(LOCAL.down(6, tlv(3, b"blue")))
    assert feed.up() == {}


def test_records_lost_from_one_router_are_no_gap_of_another() -> None:
    feed = begun()
    feed.connect("192.0.2.2")
    feed.say(PEER.up(), PEER.route(ROUTE), router="192.0.2.2")
    feed.lose("192.0.2.2")
    assert {gap.peer.router for gap in feed.gaps if gap.peer} == {"192.0.2.2"}


def test_killing_the_receiver_loses_every_connection() -> None:
    feed = begun()
    feed.event(events.start())
    assert len(feed.gaps) == 2
    assert all("the receiver ended without a word" in (gap.reason or "") for gap in feed.gaps)
    feed.event(events.start())
    assert len(feed.gaps) == 2


def test_records_dropped_for_want_of_room_are_a_gap_of_every_view() -> None:
    feed = begun()
    feed.event(events.dropped(feed.time, 3, 100, "the disk is full"))
    assert [(gap.peer and gap.peer.rib, gap.lines) for gap in feed.gaps] == [
        (None, 3),
        ("pre-policy", None),
        ("post-policy", None),
    ]
    assert {gap.cause for gap in feed.gaps} == {"disk"}


def test_a_peer_that_the_router_no_longer_reports_is_down() -> None:
    feed = begun()
    feed.say(OTHER.up())
    feed.lose()
    feed.connect()
    feed.say(OTHER.up())
    assert name(PEER) in feed.up()
    feed.time += UNNAMED.total_seconds()
    feed.say(OTHER.stats())
    assert feed.up().keys() == {name(OTHER)}
    assert {one.ended_by for one in feed.ended().values()} == {"router"}


def test_mirrored_messages_are_kept_apart_from_the_routers_tables() -> None:
    feed = begun()
    feed.say(PEER.mirror(tlv(0, update("198.51.100.0/24"))))
    assert feed.up()[name(PEER)].updates == 1
    feed.say(PEER.mirror(tlv(1, b"\0\1")))
    assert [(gap.peer and gap.peer.name, gap.reason) for gap in feed.gaps] == [
        (name(PEER), "it lost what it was to mirror")
    ]
    feed.lose()
    feed.connect()
    feed.say(PEER.up(), PEER.route(end_of_rib()), PEER.route(end_of_rib(), POST))
    assert feed.up()[name(PEER)].resent is None, "nobody mirrors it again"


def test_messages_mirrored_after_a_peer_down_belong_to_no_session() -> None:
    feed = begun()
    feed.say(PEER.down(), PEER.mirror(tlv(0, update("198.51.100.0/24"))))
    assert feed.place.session is None
    assert feed.up() == {}
    assert feed.gaps == []


def test_a_record_that_cannot_be_read_is_a_gap_of_its_view() -> None:
    feed = begun()
    broken = record(PEER.route(ROUTE[:-1] + b"\xff"), feed.time)
    said = BMP.counted(broken, len(broken))
    feed.tracker.reject(feed.line, said, "it is broken")
    (gap,) = feed.tracker.take_gaps()
    assert gap.peer
    assert (gap.peer.name, gap.cause) == (name(PEER, "pre-policy"), "reject")
