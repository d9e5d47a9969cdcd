"""When peers received what we announced, and lost it again: collector/query/convergence.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collector.query.convergence import converged
from schemas.intents import Intent, IntentState, RouteAnnouncement
from schemas.peer import Peer
from schemas.query import Event, HistoryEntry

TS = datetime(2026, 11, 27, tzinfo=UTC)


def said(peer: int, event: Event, seconds: float) -> HistoryEntry:
    ts = TS + timedelta(seconds=seconds)
    return HistoryEntry(ts=ts, peer=Peer(address=f"192.0.2.{peer}", asn=64500), collector="here", event=event)


def intent(*states: IntentState) -> Intent:
    return Intent(
        id="0" * 24,
        number=0,
        collector="here",
        announcement=RouteAnnouncement(prefix="203.0.113.0/24"),
        peers=("192.0.2.1",),
        who="a",
        why="b",
        source="cli",
        created=TS,
        state="sent",
        states=(IntentState(state="pending", ts=TS), *states),
    )


def test_the_last_message_counts() -> None:
    withdrawn = IntentState(state="withdrawing", ts=TS + timedelta(seconds=10))
    entries = [
        said(1, "announce", 0.5),
        said(2, "announce", 1),
        said(3, "withdraw", 2),  # it never had it
        said(1, "withdraw", 10.25),
        said(1, "announce", 11),  # it hunts for another path
        said(1, "session_end", 12.5),
    ]
    found = {one.peer.address: (one.heard_seconds, one.gone_seconds) for one in converged(intent(withdrawn), entries)}
    assert found == {"192.0.2.1": (0.5, 2.5), "192.0.2.2": (1.0, None)}


def test_a_route_that_is_not_withdrawn_is_not_lost() -> None:
    entries = [said(1, "announce", 0.5), said(1, "withdraw", 3)]
    assert [one.gone for one in converged(intent(), entries)] == [None]
