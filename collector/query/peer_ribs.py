"""The tables of peers at a given time, folded from each session's UPDATEs: all of them, or those of some prefixes.

A route stands from its announcement until its replacement, its withdrawal, or the end of its session (RFC 4271 3.1, 9).
A gap (see `schemas.documents.Gap`) makes routes announced before it uncertain. A peer that sends its table again
between the markers of RFC 7313 thereby withdraws all routes that it does not repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import bson

from collector.query.attributes import AnswerFields, answered
from collector.query.last_gap import LastGap, last_gap, refreshed, resent
from collector.query.naming import is_plain, updates_of_prefixes
from collector.query.sessions_at import sessions_at
from collector.rib import snapshots, stored_routes
from collector.rib.fold import Fold
from collector.rib.pages import families, pack
from collector.rib.routes import WITHDRAWN, Items, Range, RouteEntry, RouteKey, milliseconds, moment
from collector.rib.snapshots import StoredTable
from collector.rib.stored_routes import StatePair
from collector.store.mongo import Store
from collector.store.updates import updates_of_session
from schemas.query import Route, RouteState
from schemas.snapshots import Snapshot
from schemas.stored import SessionDocument, UpdateDocument

_MILLISECOND = timedelta(milliseconds=1)
_COUNTED_AT_ONCE = 20_000
"""Tables with more routes are counted as of when they were last stored: folding the messages since then takes up to two
seconds a peer."""
_TEMPLATES = 5000
"""Routes that are cached, one for each set of attributes."""

_OWN = ("peer", "collector", "prefix", "state", "since", "family", "path_id", "rd")
BLANK: AnswerFields = {name: None for name in Route.model_fields if name not in _OWN}
"""The fields of a route that do not depend on its peer, key, time and state, all empty."""


class RouteCount(NamedTuple):
    """The number of routes of a peer."""

    by_family: Mapping[str, int]
    at: datetime | None = None
    """When they were counted; None: at the time of the query."""


class Shared(NamedTuple):
    """Stored tables at two times that share a whole table, or both have none."""

    mine: StoredTable | None
    its: StoredTable | None


@dataclass
class PeerRib:
    """The table of a session at a given time, as far as it is known."""

    store: Store
    session: SessionDocument
    end: datetime | None
    """The time; None: now, and the session is up."""
    gap: LastGap | None
    """The last gap: older routes are uncertain, and absent ones unknown,"""
    mended: Mapping[str, datetime]
    """except in families whose table was sent again after it. The time at which the last resending began, by family:
    older routes that were not repeated are gone, whatever was lost since."""
    stale: bool
    """Whether the session has ended while its peer restarts gracefully, and may keep its routes (RFC 4724)."""
    on_read: Callable[[int], None] = lambda _: None
    """Called with the additional number of routes and UPDATEs read."""
    dump: Snapshot | None = None
    """The last RIB dump with its table: messages before it are not read."""
    _templates: dict[bytes, Route] = field(default_factory=dict)
    _withdrawn: set[str] = field(default_factory=set)
    """Of the prefixes in calls of `few`, those whose only route was withdrawn after the gap."""

    async def table(self, span: Range | None = None) -> AsyncIterator[Items]:
        """All of its routes, or those in a range, in order, in lists of some thousands."""
        stored = await self._stored()
        async for items in stored_routes.changed(self.store, _whole(stored), await self._fold(stored, span), span):
            self.on_read(len(items))
            if span:  # a part that overlaps the range also has other routes
                items = [item for item in items if span.has(item[0])]
            yield [item for item in items if self._stands(*item)] if self.mended else items

    async def shares_with(self, later: PeerRib) -> Shared | None:
        """The stored tables at both times, if they belong to one session and share a whole table."""
        if self.session["_id"] != later.session["_id"] or self.mended != later.mended:
            return None
        mine, its = await self._stored(), await later._stored()
        return Shared(mine, its) if _whole(mine) == _whole(its) else None

    async def until(self, later: PeerRib, shared: Shared, span: Range | None = None) -> AsyncIterator[list[StatePair]]:
        """Routes that have changed since the shared table, in order, with their states at both times.

        Args:
            later: the table at the later time.
            shared: the result of `shares_with`.
            span: only routes in this range.
        """
        fold, further = await self._fold(shared.mine, span), await later._fold(shared.its, span)
        # Everything said up to the first time is also part of the second.
        async for routes in stored_routes.before_and_after(self.store, _whole(shared.mine), fold, further):
            self.on_read(len(routes))
            yield [(key, self._standing(key, old), later._standing(key, new)) for key, old, new in routes]

    async def count(self) -> RouteCount:
        """The number of routes, possibly as of when a large table was last stored."""
        if self.mended:
            total = Counter[str]()
            async for items in self.table():
                total.update(families(items))
            return RouteCount(total)
        stored = await self._stored()
        if stored and stored.newest.standing is not None:
            if stored.newest.updates == self.session["updates"]:
                return RouteCount(stored.newest.standing)
            if stored.whole.routes > _COUNTED_AT_ONCE:
                return RouteCount(stored.newest.standing, stored.newest.ts)
        return RouteCount(await stored_routes.count(self.store, _whole(stored), await self._fold(stored)))

    async def count_stored(self) -> int:
        """The number of routes in the stored table that reading starts from; zero if there is none."""
        stored = await self._stored()
        return stored.whole.routes if stored else 0

    async def few(self, prefixes: Collection[str]) -> Items:
        """The routes of some prefixes, in order; of stored tables, only those from RIB dumps are read."""
        fold = Fold(self.session["_id"], only=prefixes)
        if self.dump and (dumped := await stored_routes.routes_to(self.store, self.dump, prefixes)):
            fold.begin_with([pack(dumped)], len(dumped))
        begin = self.dump.ts if self.dump else self.session["since"]
        for update in await updates_of_prefixes(self.store, self.session, prefixes, begin, self.end):
            await fold.add(update)
            self._withdrawn.update(self._withdrawn_since_gap(update))
        return [(key, entry) for _, key, entry in fold.changes() if self._stands(key, entry)]

    def hides(self, family: str, prefix: str | None = None) -> bool:
        """Whether a route of this family, or to this prefix after a call of `few`, may be missing."""
        return self.gap is not None and not self.stale and not self._is_mended(family) and prefix not in self._withdrawn

    def ended(self, earlier: PeerRib, entry: RouteEntry) -> bool:
        """Whether it is certain that a route, which stood earlier and does not any more, was withdrawn.

        It is if no line was lost since its announcement.
        """
        is_same = self.session["_id"] == earlier.session["_id"]
        return is_same and (self.gap is None or entry.since >= milliseconds(self.gap.certain_from))

    def _withdrawn_since_gap(self, update: UpdateDocument) -> Iterator[str]:
        """The prefixes whose only route an UPDATE after the gap withdraws; with a path ID there may be others."""
        is_after = self.gap and milliseconds(update["ts"]) >= milliseconds(self.gap.certain_from)
        if is_after and update.get("session") == self.session["_id"]:
            for group in update.get("withdraw", ()):
                if is_plain(group):
                    yield from group.get("nlri", ())

    def common_state(self) -> RouteState | None:
        """The state of all routes, if it is the same for all."""
        return "stale" if self.stale else None if self.gap else "stands"

    def state(self, key: RouteKey, entry: RouteEntry) -> RouteState:
        """The state of one of the routes."""
        if self.stale:
            return "stale"
        if self.gap and entry.since < milliseconds(self.gap.certain_from) and not self._is_mended(key.family):
            return "uncertain"
        return "stands"

    def route(self, key: RouteKey, entry: RouteEntry) -> Route:
        """One of the routes, as an answer."""
        family, rd, path_id, nlri = key
        own = {
            "state": self.state(key, entry),
            "since": moment(entry.since),
            "family": family,
            "rd": rd,
            "path_id": path_id,
            "prefix": nlri if key.is_prefix else None,
        }
        template = self._templates.get(entry.facts)
        if template is None:
            if len(self._templates) >= _TEMPLATES:
                self._templates.clear()
            template = self._templates[entry.facts] = self.blank.with_own(answered(bson.decode(entry.facts)))
        return template.with_own(own)

    @cached_property
    def blank(self) -> Route:
        """A route with only its peer."""
        whose = {"peer": self.session["peer"], "collector": self.session["collector"]}
        unknown = {"prefix": None, "state": "unknown", "since": self.session["since"], "family": ""}
        return Route.model_validate({**BLANK, **dict.fromkeys(_OWN), **whose, **unknown})

    def _is_mended(self, family: str) -> bool:
        """Whether the family's table was sent again after the last gap."""
        begun = self.mended.get(family)
        return begun is not None and self.gap is not None and begun >= self.gap.ts

    def _stands(self, key: RouteKey, entry: RouteEntry) -> bool:
        begun = self.mended.get(key.family)
        return entry is not WITHDRAWN and (begun is None or entry.since >= milliseconds(begun))

    def _standing(self, key: RouteKey, entry: RouteEntry) -> RouteEntry:
        return entry if self._stands(key, entry) else WITHDRAWN

    async def _stored(self) -> StoredTable | None:
        """The newest stored table."""
        return await snapshots.newest(self.store, self.session["_id"], self.end + _MILLISECOND if self.end else None)

    async def _fold(self, stored: StoredTable | None, span: Range | None = None) -> Fold:
        """The changes since the whole table of a stored one."""
        begin, updates = (stored.newest.ts, stored.newest.updates) if stored else (self.session["since"], 0)
        # A session's document is written after its UPDATEs: so the UPDATEs that it counts are complete up to
        # `last_seen`.
        end = (self.end or self.session["last_seen"]) + _MILLISECOND
        fold = await stored_routes.begin_fold(self.store, self.session["_id"], stored, span)
        most = self.session["updates"] - updates
        async for update in updates_of_session(self.store, self.session, (begin, end), most=most):
            await fold.add(update)
            self.on_read(1)
        return fold


def _whole(stored: StoredTable | None) -> Snapshot | None:
    return stored.whole if stored else None


async def peer_ribs_at(store: Store, at: datetime | None, *, peer: str | None = None) -> AsyncIterator[PeerRib]:
    """The tables at a given time, one session at a time, by peer.

    Args:
        store: the archive.
        at: the time; None: now.
        peer: only this peer's.
    """
    async for session, stale in sessions_at(store, at, peer):
        yield await peer_rib_of(store, session, at, stale=stale)


async def peer_rib_of(store: Store, session: SessionDocument, at: datetime | None, *, stale: bool = False) -> PeerRib:
    """The table of one session at a given time; None: now."""
    end = min(filter(None, (at, session.get("until"))), default=None)
    dump = await snapshots.newest_dump(store, session, end)
    gap = await last_gap(store, session, end, dump.ts if dump else None)
    mended = dict(resent(session, end))
    if gap:
        mended.update({family: begin async for family, begin in refreshed(store, session, gap, end)})
    return PeerRib(store, session, end, gap, mended, stale, dump=dump)
