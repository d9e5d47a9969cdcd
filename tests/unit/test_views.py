# ruff: noqa: ARG002  # arguments are the protocol's
"""Peers that routers report are distinguished by router, table and VRF."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from collector.archive.gaps import GapFinder, GapState
from collector.archive.healer import Healer
from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.source import EXABGP, ExabgpSource
from collector.sources.source import Continuity, Effect, Loss
from schemas.documents import Place, Session, to_document, to_message
from schemas.message import Event, ExabgpProcess, Keepalive, OtherSource, ReceiverStart, StateChange, Update
from schemas.notes import TrackerNote
from schemas.peer import Peer
from schemas.scalars import from_unix
from tests.unbroken import Unbroken

T = from_unix(1.8e9)
PLAIN = Peer(address="192.0.2.1", asn=64500)
BEFORE = Peer(address="192.0.2.1", asn=64500, router="198.51.100.1", rd="0:0", rib="pre-policy")
BEHIND = BEFORE.model_copy(update={"rib": "post-policy"})
ELSEWHERE = BEFORE.model_copy(update={"router": "198.51.100.2"})
ALL = (PLAIN, BEFORE, BEHIND, ELSEWHERE)


def update(peer: Peer, second: int = 0) -> Update:
    return Update(ts=T + timedelta(seconds=second), source=OtherSource(name="x", at=7), peer=peer)


def test_a_peer_of_ours_is_known_by_address_and_as_only() -> None:
    bare = {"address": "192.0.2.1", "asn": 64500}
    assert (PLAIN.model_dump(), PLAIN.model_dump(mode="json"), PLAIN.name) == (bare, bare, "192.0.2.1")
    assert BEFORE.name == "192.0.2.1 at 198.51.100.1 0:0 pre-policy"
    assert BEFORE.model_dump() == {**bare, "router": "198.51.100.1", "rd": "0:0", "rib": "pre-policy"}


@pytest.mark.parametrize("peer", ALL, ids=lambda peer: peer.name)
@pytest.mark.parametrize("source", [ExabgpProcess(pid=1, counter=2), ExabgpProcess(pid=1), OtherSource(name="x", at=7)])
def test_a_document_becomes_the_same_message_again(peer: Peer, source: Any) -> None:
    place = Place(ObjectId(), T, "test", None)
    for message in (Update(ts=T, source=source, peer=peer), Keepalive(ts=T, source=source, peer=peer)):
        document = to_document(message, place)
        assert to_message(document) == message
        assert None not in (*document["peer"].values(), *document["source"].values())


def sessions(tracker: SessionTracker) -> dict[str, Session]:
    return {session.peer.name: session for session in tracker.take_changed()}


def test_each_view_of_a_peer_has_sessions_of_its_own() -> None:
    tracker = SessionTracker(EXABGP, "test")
    places = [tracker.follow(line, update(peer)).session for line, peer in enumerate(ALL)]
    assert len(set(places)) == len(ALL)
    tracker = SessionTracker(EXABGP, "test", note=tracker.note())
    assert [tracker.follow(line, update(peer)).session for line, peer in enumerate(ALL, 4)] == places
    tracker.follow(8, StateChange(ts=T, source=OtherSource(name="x"), peer=BEHIND, local=PLAIN, state="down"))
    assert {name for name, one in sessions(tracker).items() if one.until} == {BEHIND.name}


def test_gaps_of_a_peers_views_do_not_replace_each_other() -> None:
    gaps = GapFinder("test", 1, EXABGP.continuity((), {}), GapState())
    for peer in ALL:
        gaps.unheard(5, None, T, peer)
        gaps.reject(5, T, peer, "rubbish")
    assert len({gap.key for gap in gaps.take()}) == 2 * len(ALL)
    gaps._add(6, T, Loss(BEFORE, T, 3, "pipe"))
    assert [gaps.is_behind_gap(6, peer) for peer in ALL] == [False, True, False, False]


class Falling(Unbroken):
    """A source whose receiver says at every start that it has lost one router."""

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        return Effect(ended="the connection was lost", names=frozenset((BEFORE.name, BEHIND.name)))


class Back(Unbroken):
    """A source whose receiver says at every start that this router had only been silent."""

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        return Effect(resumed={}, names=frozenset((BEFORE.name, BEHIND.name)))


def following(continuity: Continuity, note: TrackerNote | None = None) -> SessionTracker:
    class Source(ExabgpSource):
        silence = "the connection was lost"

        def continuity(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Continuity:
            return continuity

    return SessionTracker(Source(), "test", note=note)


START = ReceiverStart(ts=T, source=OtherSource(name="x"), helper_pid=9)


def test_records_lost_from_one_router_end_no_session_of_another() -> None:
    tracker = following(Falling())
    for line, peer in enumerate(ALL):
        tracker.follow(line, update(peer))
    tracker.take_changed()
    tracker.follow(4, START)
    assert sessions(tracker).keys() == {BEFORE.name, BEHIND.name}
    tracker = following(Back(), tracker.note())
    tracker.follow(5, START)
    assert {name: one.until for name, one in sessions(tracker).items()} == {BEFORE.name: None, BEHIND.name: None}
    assert {gap.peer.name for gap in tracker.take_gaps() if gap.peer} == {BEFORE.name, BEHIND.name}


def test_peers_that_cannot_be_asked_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    healer = Healer(None)
    gaps = GapFinder("test", 1, Unbroken(), GapState())
    gaps.unheard(5, None, T, BEFORE)
    healer.want(gaps.take())
    for _ in range(2):
        healer.act(lambda _name: [{"code": 2}])
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        f"{BEFORE.name} speaks in a session that was not heard to begin"
    ]
