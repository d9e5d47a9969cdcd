"""The sessions of peers, and their gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from collector.query import streams
from collector.query.entries import gap_entry
from collector.query.filters import Filter
from collector.store.mongo import Store
from schemas.peer import Peer
from schemas.query import HistoryEntry
from schemas.status import PeerSession
from schemas.stored import SessionDocument


async def sessions(store: Store, filters: Filter) -> AsyncIterator[PeerSession]:
    """The sessions of the wanted peers within the time range, by their begin."""
    for session in sorted(await streams.sessions(store, filters), key=lambda one: (one["since"], one["_id"])):
        yield session_of(session)


def session_of(session: SessionDocument) -> PeerSession:
    """A session, in the form of answers."""
    return PeerSession(
        peer=Peer.model_validate(session["peer"]),
        collector=session.get("collector"),
        since=session["since"],
        until=session.get("until"),
        reason=session.get("reason"),
        last_message=session["last_seen"],
        updates=session["updates"],
    )


async def gaps(store: Store, filters: Filter) -> AsyncIterator[HistoryEntry]:
    """The gaps of the wanted peers within the time range, oldest first."""
    async for row in streams.gap_rows(store, filters):
        yield gap_entry(row.document)
