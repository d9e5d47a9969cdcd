"""The tables of peers at a given time, folded from each session's UPDATEs: all of them, or those of some prefixes.

A route stands from its announcement until its replacement, its withdrawal, or the end of its session (RFC 4271 3.1, 9).
A gap (see `schemas.documents.Gap`) makes routes announced before it uncertain. A peer that sends its table again
between the markers of RFC 7313 thereby withdraws all routes that it does not repeat.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import bson
from bson import ObjectId

from collector.query.attributes import answered
from collector.query.naming import updates_of_prefixes
from collector.rib import snapshots, stored_routes
from collector.rib.fold import Fold
from collector.rib.pages import families, pack
from collector.rib.routes import WITHDRAWN, Items, Range, RouteEntry, RouteKey, milliseconds, moment
from collector.rib.snapshots import StoredTable
from collector.rib.stored_routes import Beside
from collector.store.mongo import Store
from collector.store.updates import IN_ORDER, NEWEST_FIRST, pieces, updates_of_session
from schemas.documents import Snapshot
from schemas.keys import key_collector, key_line
from schemas.message import name_order
from schemas.query import Route, RouteState
from schemas.stored import GapDocument, PeerDocument, SessionDocument, name_of

_GRACEFUL_RESTART = 64
_LONGEST_RESTART = timedelta(seconds=4095)
"""The field has twelve bits (RFC 4724 3)."""
_MILLISECOND = timedelta(milliseconds=1)
_COUNTED_AT_ONCE = 20_000
"""Tables with more routes are counted as of when they were last stored: folding the messages since then takes up to two
seconds a peer."""
_BEGINNING = datetime.fromtimestamp(0, UTC)
_TEMPLATES = 5000
"""Routes that are cached, one for each set of attributes."""

_OWN = ("peer", "collector", "prefix", "state", "since", "family", "path_id", "rd")
BLANK: dict[str, Any] = {name: None for name in Route.model_fields if name not in _OWN}
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


class LastGap(NamedTuple):
    """The last gap of a session's peer."""

    ts: datetime
    behind: datetime
    """Routes announced before this are uncertain."""
    line: int
    collector: int
    """With `line`, its place in the order of the spool's lines."""

    @classmethod
    def of(cls, gap: GapDocument) -> Self:
        """The gap of a document."""
        ts: datetime = gap["ts"]
        # Lines of one millisecond may be before and after a gap that began in it: all of them are uncertain then.
        behind = ts + _MILLISECOND if gap.get("after") == ts else ts
        return cls(ts, behind, gap["line"], key_collector(gap["_id"]))

    def lies_before(self, key: ObjectId) -> bool:
        """Whether a line, of which only the key is known, comes after the gap."""
        return key_collector(key) != self.collector or key_line(key) >= self.line


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

    async def until(self, later: PeerRib, shared: Shared, span: Range | None = None) -> AsyncIterator[list[Beside]]:
        """Routes that have changed since the shared table, in order, with their states at both times.

        Args:
            later: the table at the later time.
            shared: the result of `shares_with`.
            span: only routes in this range.
        """
        fold, further = await self._fold(shared.mine, span), await later._fold(shared.its, span)
        # Everything said up to the first time is also part of the second.
        async for routes in stored_routes.beside(self.store, _whole(shared.mine), fold, further):
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
        return [(key, entry) for _, key, entry in fold.changes() if self._stands(key, entry)]

    def hides(self, family: str) -> bool:
        """Whether a route of this family may be missing."""
        return self.gap is not None and not self.stale and not self._is_mended(family)

    def common_state(self) -> RouteState | None:
        """The state of all routes, if it is the same for all."""
        return "stale" if self.stale else None if self.gap else "stands"

    def state(self, key: RouteKey, entry: RouteEntry) -> RouteState:
        """The state of one of the routes."""
        if self.stale:
            return "stale"
        if self.gap and entry.since < milliseconds(self.gap.behind) and not self._is_mended(key.family):
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
    async for session, stale in _sessions(store, at, peer):
        yield await peer_rib_of(store, session, at, stale=stale)


async def peer_rib_of(store: Store, session: SessionDocument, at: datetime | None, *, stale: bool = False) -> PeerRib:
    """The table of one session at a given time; None: now."""
    end = min(filter(None, (at, session.get("until"))), default=None)
    dump = await snapshots.newest_dump(store, session, end)
    gap = await _last_gap(store, session, end, dump.ts if dump else None)
    mended = dict(_resent(session, end))
    if gap:
        mended.update({family: begin async for family, begin in _refreshes(store, session, gap, end)})
    return PeerRib(store, session, end, gap, mended, stale, dump=dump)


# --- reading --------------------------------------------------------------------------------------------------------


async def _sessions(store: Store, at: datetime | None, peer: str | None) -> AsyncIterator[tuple[SessionDocument, bool]]:
    """The sessions that were up, and those that had ended and may be restarting gracefully."""
    now = at or datetime.now(UTC)
    begun = [one async for one in _begun(store, now, peer) if at is None or one["since"] <= at]
    found = [(one, False) for one in begun if "until" not in one or (at and one["until"] > at)]
    there = {_who(session) for session, _ in found}
    ended = [one for one in begun if "until" in one and one["until"] <= now]
    for session in sorted(ended, key=lambda one: (one["until"], one["_id"]), reverse=True):
        if _who(session) not in there and now < session["until"] + _restart_time(session):
            found.append((session, True))
        there.add(_who(session))
    for session, stale in sorted(found, key=lambda one: (place_of(one[0]), one[0]["since"], one[0]["_id"])):
        yield session, stale


async def _begun(store: Store, now: datetime, peer: str | None) -> AsyncIterator[SessionDocument]:
    """The sessions of a peer, or all that had not ended long before: what an index serves, and a little more."""
    queries = [{"until": until} for until in (None, {"$gt": now - _LONGEST_RESTART})]
    for query in [{"peer.address": peer}] if peer else queries:
        async for session in store.find("sessions", query):
            yield session


def _who(session: SessionDocument) -> tuple[str, str]:
    """The peer and the collector: a peer may have sessions with two collectors."""
    return name_of(session["peer"]), session["collector"]


def place_of(session: SessionDocument) -> tuple[int, bytes, str, str]:
    """The sort key of a session's peer."""
    return *name_order(name_of(session["peer"])), session["collector"]


def _restart_time(session: SessionDocument) -> timedelta:
    """How long a peer's routes may stand after its session (RFC 4724 4.2): not if a NOTIFICATION ended it."""
    if "router" in session["peer"]:  # it ends with its Peer Down, and all of its routes with it (RFC 7854 4.9)
        return timedelta(0)
    # 0.1 only stored the text
    notified = "notification" in session or "notification received" in session.get("reason", "")
    if session["ended_by"] != "peer" or notified:
        return timedelta(0)
    for capability in session.get("capabilities", ()):
        if capability.get("code") == _GRACEFUL_RESTART:
            return timedelta(seconds=int(capability.get("time", 0)))
    return timedelta(0)


async def _last_gap(
    store: Store, session: SessionDocument, end: datetime | None, dumped: datetime | None
) -> LastGap | None:
    """The last gap of a session's peer that hides routes, up to a time; gaps before a RIB dump do not count."""
    # The line that a session was first seen by may have revealed a gap, which hides what the session said before.
    begin = "$gte" if dumped or session["began"] == "seen" else "$gt"
    span = {begin: dumped or session["since"], **({"$lte": end} if end else {})}
    fields = ("collector", "peer", "ts", "after", "line", "cause")
    last: list[GapDocument] = []
    for names in pieces(_names(session["peer"]["address"]), (await store.traits()).keys):
        query = {"peer.address": {"$in": names}, "ts": span}
        async with aclosing(store.find("gaps", query, sort=NEWEST_FIRST, fields=fields)) as gaps:
            async for gap in gaps:
                if gap["cause"] == "table":  # what is missing is missing before the dump
                    continue
                if gap["collector"] == session["collector"] and _at(gap["peer"]) == _at(session["peer"]):
                    last.append(gap)
                    break
    if not last:
        return None
    newest = max(last, key=lambda gap: (gap["ts"], gap["_id"]))
    # The contents of a dump are certain, even if other parts of it cannot be read.
    found = LastGap.of(newest)
    return found._replace(behind=_BEGINNING) if newest["ts"] == dumped else found


def _at(peer: PeerDocument) -> tuple[str | None, ...]:
    """Which router, distinguisher and table reported a peer, whatever its address."""
    return peer.get("router"), peer.get("rd"), peer.get("rib")


@lru_cache(maxsize=1024)
def _names(address: str) -> list[str]:
    """An address, and every range that may contain it: the peers of a range have their gaps in common."""
    network = ipaddress.ip_network(address)
    return [address, *(str(network.supernet(new_prefix=length)) for length in range(network.prefixlen))]


def _resent(session: SessionDocument, end: datetime | None) -> Iterator[tuple[str, datetime]]:
    """Tables that a router sent again after any gap: the family, and when each began, oldest first."""
    for table in session.get("resent", ()):
        if end is None or table["end"] <= end:
            yield table["family"], table["begin"]


async def _refreshes(
    store: Store, session: SessionDocument, gap: LastGap, end: datetime | None
) -> AsyncIterator[tuple[str, datetime]]:
    """Tables that were sent again after a gap: the family, and when each began."""
    span = {"$gte": gap.ts, **({"$lte": end} if end else {})}
    query = {"peer.address": session["peer"]["address"], "kind": "refresh", "ts": span}
    begun: dict[str, datetime] = {}
    fields = ("ts", "collector", "peer", "family", "subtype")
    async for marker in store.find("messages", query, sort=IN_ORDER, fields=fields):
        if (marker["collector"], name_of(marker["peer"])) != (session["collector"], name_of(session["peer"])):
            continue
        if not gap.lies_before(marker["_id"]):
            continue
        family = marker["family"]
        if marker["subtype"] == "begin":
            begun[family] = marker["ts"]
        elif marker["subtype"] == "end" and family in begun:
            yield family, begun.pop(family)
