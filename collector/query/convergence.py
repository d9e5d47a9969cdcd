"""How long our announcements and withdrawals took to reach each peer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from itertools import dropwhile

from bson import ObjectId

from collector.errors import UsageError
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, history
from collector.store.mongo import Store
from schemas.announcements import RouteAnnouncement
from schemas.intent_documents import to_intent
from schemas.intents import Intent
from schemas.query import HistoryEntry, PeerConvergence

_OVER = ("withdraw", "session_end")


async def convergence(store: Store, key: str) -> AsyncIterator[PeerConvergence]:
    """When each peer, including those of other collectors, first announced an intent's prefix, and when it stopped.

    Args:
        store: the archive.
        key: the intent's id.

    Raises:
        UsageError: there is no such intent.
    """
    found = [one async for one in store.find("intents", {"_id": ObjectId(key)})] if ObjectId.is_valid(key) else []
    if not found:
        raise UsageError(f"no intent has the id {key!r}", "see which there are: bgpledger intents --all")
    intent = to_intent(found[0])
    query = HistoryQuery(intent.announcement.prefix, Filter(start=intent.created))
    for one in converged(intent, [entry async for entry in history(store, query)]):
        yield one


def converged(intent: Intent, entries: Iterable[HistoryEntry]) -> Iterator[PeerConvergence]:
    """As `convergence`, from the prefix's history since the intent was ordered, oldest first."""
    withdrawn = next((one.ts for one in intent.states if one.state in ("withdrawing", "expired")), None)
    first: dict[tuple[str, str | None], HistoryEntry] = {}
    last: dict[tuple[str, str | None], HistoryEntry] = {}
    for entry in entries:
        if entry.event in ("announce", *_OVER):
            whose = entry.peer.name, entry.collector
            last[whose] = entry
            if entry.event == "announce":
                first.setdefault(whose, entry)
    for whose, entry in first.items():
        end = last[whose]
        gone = end.ts if withdrawn and end.event in _OVER and end.ts >= withdrawn else None
        yield PeerConvergence(
            peer=entry.peer,
            collector=entry.collector,
            heard=entry.ts,
            heard_seconds=_seconds(intent.created, entry.ts),
            looped=_is_sent_back(intent, entry),
            gone=gone,
            gone_seconds=_seconds(withdrawn, gone) if withdrawn and gone else None,
        )


def _is_sent_back(intent: Intent, entry: HistoryEntry) -> bool:
    """Whether a peer announces to us what we announced to it: behind its own AS, the path is that route's."""
    peer = entry.peer
    if entry.collector != intent.collector or peer.router or peer.address not in intent.peers:
        return False
    path = (entry.as_path or "").split()
    rest = list(dropwhile(str(peer.asn).__eq__, path))
    if not rest or rest == path:
        return False
    is_ours = rest[0].__eq__
    ordered = intent.announcement.as_path if isinstance(intent.announcement, RouteAnnouncement) else ()
    return list(dropwhile(is_ours, rest)) == list(dropwhile(is_ours, map(str, ordered)))


def _seconds(since: datetime, until: datetime) -> float:
    return round((until - since).total_seconds(), 3)
