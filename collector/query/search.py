"""Updates and sessions by any filter, in order of time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from collector.query import streams
from collector.query.attributes import answered
from collector.query.entries import gap_entry, route_entry, session_entry
from collector.query.filters import Filter
from collector.query.origins import OriginatedRoutes, announced
from collector.query.routes import NEVER, LastRoutes
from collector.query.streams import GapRow, Row, SessionRow, UpdateRow
from collector.rib.routes import Nlri, routes
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from schemas.stored import GroupDocument, SessionDocument, UpdateDocument


async def search(
    store: Store, filters: Filter, *, complete: bool = True, on_read: Callable[[], None] | None = None
) -> AsyncIterator[HistoryEntry]:
    """Everything that matches the filters, oldest first.

    Args:
        store: an open store.
        filters: what is wanted.
        complete: give withdrawals the route that they end. Without it, and without a filter that needs it, these routes
            are not looked up, which saves time.
        on_read: called for each UPDATE that has been read; `count_updates` gives their number, but with a filter on
            origins fewer are read.
    """
    wanted, found = await streams_of(store, filters, await streams.sessions(store, filters))
    expand = Expander(store, filters, complete=complete, among=found, whole_from=filters.start)
    async for row in streams.merge(*wanted, streams.gap_rows(store, filters)):
        async for entry in expand(row):
            if filters.matches(entry):
                yield entry
        if on_read and isinstance(row, UpdateRow):
            on_read()


async def streams_of(
    store: Store, filters: Filter, sessions: Sequence[SessionDocument]
) -> tuple[list[AsyncGenerator[Row, None]], OriginatedRoutes | None]:
    """Streams of UPDATEs and sessions that may match the filters, each in order of time.

    Args:
        store: an open store.
        filters: what is wanted.
        sessions: the sessions of the wanted peers.

    Returns:
        The streams; and, if only some ASes' routes are wanted, the announcements of these.
    """
    wanted: list[AsyncGenerator[Row, None]] = []
    found = None
    if filters.wants("announce") or filters.wants("withdraw"):
        found = None if filters.named_prefixes else await announced(store, filters)
        wanted.append(found.rows() if found else streams.updates(store, sessions, filters))
    if filters.wants("session"):
        wanted.append(streams.session_rows(sessions))
    return wanted, found


class Expander:
    """Makes entries from rows: of all that peers said, or of some ASes' routes, `among`."""

    def __init__(
        self,
        store: Store,
        filters: Filter,
        *,
        complete: bool,
        among: OriginatedRoutes | None = None,
        whole_from: datetime | None = NEVER,
    ) -> None:
        self._announce = filters.wants("announce")
        self._withdraw = filters.wants("withdraw")
        self._among = among
        looks_up = self._withdraw and (complete or filters.asks_for_routes)
        sees_all = among is None and not filters.named_prefixes
        self._last = LastRoutes(store, sees_all=sees_all, whole_from=whole_from) if looks_up else None
        self._filters = filters

    async def __call__(self, row: Row) -> AsyncIterator[HistoryEntry]:
        """The entries of one row; for an UPDATE, withdrawals come first (RFC 4271 4.3)."""
        if isinstance(row, GapRow):
            yield gap_entry(row.document)
        elif isinstance(row, SessionRow):
            yield session_entry(row.document, "session_end" if row.ended else "session_up")
        elif isinstance(row, UpdateRow):
            document = row.document
            if self._withdraw:
                for group, prefix in self._routes(document, "withdraw"):
                    if self._among and not self._among.may_end(document, group, prefix):
                        continue
                    ended = await self._last.find(document, group, prefix) if self._last else {}
                    yield route_entry(document, "withdraw", group, prefix, ended)
            if self._last:
                self._last.see(document)
            if self._announce:
                attributes = answered(document.get("attributes", {}))
                for group, prefix in self._routes(document, "announce"):
                    yield route_entry(document, "announce", group, prefix, attributes)

    def _routes(
        self, document: UpdateDocument, event: Literal["announce", "withdraw"]
    ) -> Iterator[tuple[GroupDocument, Nlri]]:
        """The routes of an UPDATE that may match."""
        every = routes(document, event)
        if self._filters.prefixes is None:
            return every
        return (one for one in every if self._filters.of_prefix(one[1] if "nlri" in one[0] else None))


async def count_updates(store: Store, filters: Filter) -> int:
    """The number of UPDATEs that `search` would read; sessions that overlap the time range count whole."""
    return sum(session.get("updates", 0) for session in await streams.sessions(store, filters))
