"""When peers received what we announced, and lost it again: collector/query/convergence.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.query.convergence import converged
from schemas.announcements import RouteAnnouncement
from schemas.intents import Intent, IntentState
from schemas.peer import Peer
from schemas.query import Event, HistoryEntry

TS = datetime(2026, 11, 27, tzinfo=UTC)


def entry(
    peer: int,
    event: Event,
    seconds: float,
    path: str | None = None,
    *,
    collector: str = "here",
    router: str | None = None,
) -> HistoryEntry:
    ts = TS + timedelta(seconds=seconds)
    who = Peer(address=f"192.0.2.{peer}", asn=64500, router=router)
    return HistoryEntry(ts=ts, peer=who, collector=collector, event=event, as_path=path)


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
        entry(1, "announce", 0.5),
        entry(2, "announce", 1),
        entry(3, "withdraw", 2),  # it never had it
        entry(1, "withdraw", 10.25),
        entry(1, "announce", 11),  # it hunts for another path
        entry(1, "session_end", 12.5),
    ]
    found = {one.peer.address: (one.heard_seconds, one.gone_seconds) for one in converged(intent(withdrawn), entries)}
    assert found == {"192.0.2.1": (0.5, 2.5), "192.0.2.2": (1.0, None)}


def test_a_route_that_is_not_withdrawn_is_not_lost() -> None:
    entries = [entry(1, "announce", 0.5), entry(1, "withdraw", 3)]
    assert [one.gone for one in converged(intent(), entries)] == [None]


@pytest.mark.parametrize(
    ("ordered", "path", "looped"),
    [
        ((), "64500 65000", True),
        ((), "64500 64500 65000 65000", True),
        ((64510, 64511), "64500 65000 64510 64511", True),
        ((), "64500 64501 65000", False),  # it prefers another instance of an anycast service
        ((64510,), "64500 65000", False),
        ((), "64500", False),
        ((), "", False),
        ((), None, False),
    ],
)
def test_a_peer_that_sends_our_route_back_is_marked(ordered: tuple[int, ...], path: str | None, looped: bool) -> None:
    route = RouteAnnouncement(prefix="203.0.113.0/24", as_path=ordered)
    ours = intent().model_copy(update={"announcement": route})
    entries = [entry(1, "announce", 0.5, path), entry(2, "announce", 1, path)]  # the second was told nothing by us
    entries += [entry(1, "announce", 2, path, collector="there"), entry(1, "announce", 3, path, router="192.0.2.3")]
    assert [one.looped for one in converged(ours, entries)] == [looped, False, False, False]
