"""The states of our own announcements, as entries of a prefix's history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping

from collector.query.attributes import AnswerFields
from collector.query.intents import intents
from collector.query.streams import OwnRow, in_order
from collector.store.mongo import Store
from schemas.announcements import FlowAnnouncement, RouteAnnouncement
from schemas.attributes import ExtendedCommunity
from schemas.extended import extended_words
from schemas.intents import Intent, IntentState, StateName
from schemas.peer import Peer
from schemas.query import HistoryEntry, OwnEvent

_EVENTS: Mapping[StateName, OwnEvent] = {
    "pending": "ordered",
    "accepted": "accepted",
    "sent": "sent",
    "withdrawing": "withdrawal_ordered",
    "withdrawn": "withdrawn",
    "expired": "expired",
    "replaced": "replaced",
    "failed": "failed",
}
_AHEAD = b""
"""Before all that peers said in the same millisecond: they react to us."""


async def own_rows(store: Store, prefix: str) -> AsyncGenerator[OwnRow, None]:
    """Each state of each intent for a prefix at each of its peers, in order of time."""
    rows: list[OwnRow] = []
    async for intent in intents(store, prefix=prefix, ended=True):
        for address in intent.peers:
            asn = intent.asn_of(address)
            peer = await _last_known(store, address) if asn is None else Peer(address=address, asn=asn)
            rows += own_events(intent, peer)
    for row in in_order(rows):
        yield row


def own_events(intent: Intent, peer: Peer) -> Iterator[OwnRow]:
    """The states of an intent at one peer, oldest first."""
    is_over = False
    for state in intent.states:
        if state.peer not in (None, peer.address) or is_over:
            continue
        is_over = state.state in ("withdrawn", "replaced")
        yield OwnRow(state.ts, _AHEAD, _entry(intent, state, peer))


def _entry(intent: Intent, state: IntentState, peer: Peer) -> HistoryEntry:
    announcement = intent.announcement
    return HistoryEntry(
        ts=state.ts,
        peer=peer,
        collector=intent.collector,
        event=_EVENTS[state.state],
        prefix=announcement.prefix,
        family=announcement.family,
        reason=_reason(intent, state),
        intent=intent.id,
        **_communities(announcement),
        **(_attributes(announcement) if isinstance(announcement, RouteAnnouncement) else _flow(announcement)),
    )


def _reason(intent: Intent, state: IntentState) -> str | None:
    if state.state == "pending":
        return f"{intent.why} ({intent.who}, {intent.source})"
    if state.state == "withdrawing":
        return f"{state.reason} ({state.who})" if state.who else state.reason
    return state.reason


def _attributes(route: RouteAnnouncement) -> AnswerFields:
    """The attributes as ordered: what the peer is sent also has our AS in front, and is changed by its policies."""
    return {
        "next_hop": None if route.next_hop == "self" else route.next_hop,
        "as_path": " ".join(map(str, route.as_path)) or None,
        "origin": route.origin,
        "med": route.med,
        "local_pref": route.local_pref,
    }


def _flow(announcement: FlowAnnouncement) -> AnswerFields:
    return {"object": announcement.model_dump(mode="json", include={"match", "then"}, exclude_defaults=True)}


def _communities(announcement: RouteAnnouncement | FlowAnnouncement) -> AnswerFields:
    digits = [one.removeprefix("0x") for one in announcement.extended_communities]
    return {
        "communities": list(announcement.communities) or None,
        "large_communities": list(announcement.large_communities) or None,
        "extended_communities": [ExtendedCommunity(hex=one, text=extended_words(one, "")) for one in digits] or None,
    }


async def _last_known(store: Store, address: str) -> Peer:
    """A peer of ours, with its last known AS number; 0 if it has never been up."""
    query = {"peer.address": address, "exabgp_pid": {"$exists": True}}
    async for session in store.find("sessions", query, sort=(("since", -1), ("_id", -1)), fields=("peer",), limit=1):
        return Peer.model_validate(session["peer"])
    return Peer(address=address, asn=0)
