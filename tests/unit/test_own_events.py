"""The states of an intent as entries of a history: in order of time, with all that was ordered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from collector.acting.book import BookEntry
from collector.query.own_events import own_events
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.flows import FlowActions, FlowMatch
from schemas.intents import Intent, IntentState, StateName
from schemas.peer import Peer

ONE, TWO = "192.0.2.1", "192.0.2.2"
TS = datetime(2026, 11, 27, 12, tzinfo=UTC)
STATES: tuple[tuple[int, StateName, str], ...] = (
    (4, "accepted", ONE),
    (5, "accepted", TWO),
    (2, "sent", TWO),
    (3, "sent", ONE),
)
COMMUNITIES: dict[str, Any] = {
    "communities": ("64500:1",),
    "large_communities": ("64500:1:2",),
    "extended_communities": ("target:64512:7",),
}


def intent(announcement: RouteAnnouncement | FlowAnnouncement) -> Intent:
    return Intent(
        id="6928000000000000000000a1",
        number=1,
        collector="here",
        announcement=announcement,
        peers=(ONE, TWO),
        asns=(64501, 64502),
        who="alice",
        why="anycast is up",
        source="cli",
        created=TS,
        state="pending",
        states=(IntentState(state="pending", ts=TS),),
    )


def test_all_communities_are_shown() -> None:
    flow = FlowAnnouncement(
        match=FlowMatch(destination="203.0.113.7/32"), then=FlowActions(discard=True), **COMMUNITIES
    )
    for announcement in (RouteAnnouncement(prefix="203.0.113.0/24", **COMMUNITIES), flow):
        (row,) = own_events(intent(announcement), Peer(address=ONE, asn=64501))
        assert (row.entry.communities, row.entry.large_communities) == (["64500:1"], ["64500:1:2"])
        assert row.entry.extended_communities is not None
        assert [one.text for one in row.entry.extended_communities] == ["target:64512:7"]


def test_a_flow_says_what_it_matches_and_does() -> None:
    match = FlowMatch(destination="203.0.113.7/32", protocols=("udp",))
    (row,) = own_events(
        intent(FlowAnnouncement(match=match, then=FlowActions(discard=True))), Peer(address=ONE, asn=64501)
    )
    assert row.entry.object == {
        "match": {"destination": "203.0.113.7/32", "protocols": ["=17"]},
        "then": {"discard": True},
    }


def test_states_are_in_order_of_time_although_answers_are_read_late() -> None:
    entry = BookEntry(intent(RouteAnnouncement(prefix="203.0.113.0/24")), {}, [IntentState(state="pending", ts=TS)])
    for milliseconds, name, peer in STATES:
        entry.add(IntentState(state=name, ts=TS + timedelta(milliseconds=milliseconds), peer=peer))
    found = [(one.ts.microsecond // 1000, one.state, one.peer) for one in entry.shown().states]
    assert found == [
        (0, "pending", None),
        (2, "accepted", TWO),
        (2, "sent", TWO),
        (3, "accepted", ONE),
        (3, "sent", ONE),
    ]
