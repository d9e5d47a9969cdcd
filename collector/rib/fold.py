"""Folds a session's UPDATEs: keeps the last state of each route that they change.

A route stands from its announcement until its replacement or its withdrawal (RFC 4271 3.1, 9).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import bson

from collector.rib.pages import pack
from collector.rib.routes import (
    BEHIND_PREFIXES,
    WITHDRAWN,
    Nlri,
    Range,
    RouteEntry,
    RouteKey,
    groups,
    key_of,
    milliseconds,
    order,
)
from collector.rib.runs import RUN_ROUTES, Change, Runs
from schemas.stored import GroupDocument, UpdateDocument

MOST_CHANGES = 20_000
"""How many are kept unpacked, some 8 MB; more are packed to a tenth of the size."""
_OF_KEY = {"family", "rd", "path_id", "nlri", "host_bits", "objects"}


class Fold:
    """Folds one session's UPDATEs, added in order.

    Args:
        session: the session's key; UPDATEs of other sessions are ignored.
        only: only these prefixes; None: all.
        span: only routes in this range; None: all.
    """

    def __init__(self, session: Any, *, only: Collection[str] | None = None, span: Range | None = None) -> None:
        self.updates = 0
        """The number of the session's UPDATEs so far."""
        self._changes: dict[RouteKey, RouteEntry] = {}
        self._runs = Runs()
        self._session = session
        self._only = None if only is None else frozenset(only)
        self._span = span

    async def add(self, update: UpdateDocument) -> None:
        """Apply the next UPDATE: its withdrawals, then its announcements (RFC 4271 4.3)."""
        if update.get("session") != self._session:
            return
        self.updates += 1
        for group in groups(update, "withdraw"):
            for key in self._keys(group):
                self._changes[key] = WITHDRAWN
            for route in self._objects(group):
                self._changes[key_of(group, route)] = WITHDRAWN
        attributes = update.get("attributes", {})
        for group in groups(update, "announce"):
            own = {name: value for name, value in group.items() if name not in _OF_KEY}
            facts = {**attributes, **own}
            since = milliseconds(update["ts"])
            entry = RouteEntry(since, bson.encode(facts))
            for key in self._keys(group):
                self._changes[key] = entry
            for route in self._objects(group):
                self._changes[key_of(group, route)] = RouteEntry(since, bson.encode({**facts, "object": route}))
        if len(self._changes) >= MOST_CHANGES:
            await asyncio.to_thread(self._pack)

    def begin_with(self, pages: Sequence[bytes], routes: int) -> None:
        """Apply changes from before all UPDATEs: packed pages, in order, with this number of routes."""
        self._runs.append(pages, routes)

    @property
    def most(self) -> int:
        """An upper bound on the number of changes: a route with several changes may count more than once."""
        return len(self._changes) + self._runs.routes

    def changes(self) -> Iterator[Change]:
        """The last state of each changed route, in order; `WITHDRAWN` for those that were withdrawn."""
        last = None
        # Of equal items, merge yields the first iterable's first: the newest.
        for change in heapq.merge(self._sorted(), *self._runs.newest_first(), key=_place):
            if change[0] != last and (self._span is None or self._span.first <= change[0] <= self._span.last):
                yield change
            last = change[0]

    def _pack(self) -> None:
        items = [(key, entry) for _, key, entry in self._sorted()]
        packed = [pack(items[at : at + RUN_ROUTES]) for at in range(0, len(items), RUN_ROUTES)]
        self._runs.append(packed, len(items))
        self._changes.clear()

    def _sorted(self) -> list[Change]:
        return sorted((order(key), key, entry) for key, entry in self._changes.items())

    def _keys(self, group: GroupDocument) -> Iterator[RouteKey]:
        family, rd, path_id = group["family"], group.get("rd"), group.get("path_id")
        for nlri in group.get("nlri", ()):
            if self._only is None or nlri in self._only:
                key = RouteKey(family, rd, path_id, nlri)
                if self._span is None or self._span.has(key):
                    yield key

    def _objects(self, group: GroupDocument) -> Sequence[Nlri]:
        no_objects = self._only is not None or (self._span and self._span.last < BEHIND_PREFIXES)
        return () if no_objects else group.get("objects", ())


def _place(change: Change) -> bytes:
    return change[0]
