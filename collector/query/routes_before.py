"""The routes of a session to a prefix before a time, read backwards as far as they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from collector.query.attributes import answered
from collector.query.entries import route_entry, table_entry
from collector.query.naming import has_one_route_to_each, is_plain
from collector.query.prefix_windows import EPOCH, FIRST_WINDOW, NARROWER, NARROWEST_WINDOW, PrefixReader, next_width
from collector.query.routes import AnnouncedRoute, owner_of, route_of
from collector.query.streams import SLACK, UpdateRow
from collector.rib.routes import groups
from collector.rib.snapshots import newest_dump
from collector.rib.stored_routes import routes_to
from schemas.query import HistoryEntry
from schemas.snapshots import Snapshot
from schemas.stored import SessionDocument


class RoutesBefore:
    """The routes of a session to a prefix before a time.

    Args:
        reader: reads the UPDATEs for the prefix.
        owner: the session's key; for UPDATEs without a session, which bgpledger 0.1 stored, the peer's name.
        address: the peer's.
        at: the time.
    """

    def __init__(self, reader: PrefixReader, owner: Any, address: str, at: datetime) -> None:
        self._reader = reader
        self._owner = owner
        self._address = address
        self._end = self._at = at
        self._width = FIRST_WINDOW
        self._floor: datetime | None = None
        """Nothing before matters; None: not known yet."""
        self._table: Snapshot | None = None
        """The session's table in a RIB dump at the floor."""
        self._has_one_each = False
        self._decided = False
        """Whether the last event of the only route was read."""
        self._announced: dict[AnnouncedRoute, HistoryEntry] = {}
        """The last announcement of each route, newest first."""
        self._gone: set[AnnouncedRoute] = set()
        """Routes that were withdrawn after it."""

    async def announced(self, route: AnnouncedRoute) -> HistoryEntry | None:
        """The last announcement of a route, withdrawn or not; None if there was none."""
        while route not in self._announced and await self._read_on():
            pass
        return self._announced.get(route)

    async def standing(self) -> Sequence[tuple[AnnouncedRoute, HistoryEntry]]:
        """The announcements of the routes that stood at the time, newest first."""
        while not self._decided and await self._read_on():
            pass
        return [(route, entry) for route, entry in self._announced.items() if route not in self._gone]

    async def _read_on(self) -> bool:
        """Read the window before; False if nothing is left."""
        if self._floor is None:
            await self._open()
        floor = self._floor or self._end
        if self._end <= floor:
            return await self._begin_with_table()
        begin = max(floor, self._at - self._width)
        whole = self._width <= NARROWEST_WINDOW
        rows = await self._reader.read(begin, self._end, (self._address,), whole=whole)
        if rows is None:
            self._width = max(self._width / NARROWER, NARROWEST_WINDOW)
            return True
        for row in reversed(rows):
            if owner_of(row.document) == self._owner:
                self._take(row)
        self._at = self._end = begin
        self._width = next_width(self._width, len(rows))
        return True

    async def _open(self) -> None:
        session = await self._session()
        if session is None:
            key = self._owner
            self._floor = key.generation_time - SLACK if isinstance(key, ObjectId) else EPOCH
            return
        if "until" in session and session["until"] < self._end:  # of what came before, nothing is left
            self._floor = session["until"] + NARROWEST_WINDOW
            return
        self._floor = session["since"] - SLACK
        self._has_one_each = has_one_route_to_each(session)
        # What came after `last_seen` is read whole: the session's document does not tell of its path IDs yet.
        self._at = min(self._end, session["last_seen"])
        self._table = await newest_dump(self._reader.store, session, self._end - NARROWEST_WINDOW)
        if self._table:
            self._floor = max(self._floor, self._table.ts)

    async def _session(self) -> SessionDocument | None:
        if isinstance(self._owner, ObjectId):
            async for session in self._reader.store.find("sessions", {"_id": self._owner}):
                return session
        return None

    async def _begin_with_table(self) -> bool:
        table, self._table = self._table, None
        if table is None:
            return False
        for key, entry in reversed(await routes_to(self._reader.store, table, (self._reader.prefix,))):
            self._announced.setdefault((table.session, key), table_entry(table, key, entry))
        self._decided = True
        return True

    def _take(self, row: UpdateRow) -> None:
        """Take an UPDATE that is older than all before."""
        document, event, prefix = row.document, row.event or "announce", self._reader.prefix
        for group in reversed(groups(document, event)):
            if prefix not in group.get("nlri", ()):
                continue
            route = route_of(document, group, prefix)
            if event == "announce" and route not in self._announced:
                attributes = answered(document.get("attributes", {}))
                self._announced[route] = route_entry(document, event, group, prefix, attributes)
            elif event == "withdraw" and route not in self._announced:
                self._gone.add(route)
            self._decided |= self._has_one_each and is_plain(group)
