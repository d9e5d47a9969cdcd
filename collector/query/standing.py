"""Which routes stood at a moment: each session's UPDATEs folded, all of them, or those of some prefixes.

A route stands from its announcement until its replacement, its withdrawal, or the end of its session (RFC 4271 3.1, 9).
A gap (see `schemas.documents.Gap`) makes uncertain what was last heard of before it. A peer that sent its table again
between the markers of RFC 7313 has taken back all that it did not repeat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import bson

from collector.query.streams import of_peer
from collector.store.mongo import Store
from schemas.query import Route, RouteState

_ORDER = (("ts", 1), ("_id", 1))
_FIELDS = ("ts", "session", "attributes", "announce", "withdraw")
_GRACEFUL_RESTART = 64

Key = tuple[str, str | None, int | None, str]
"""Family, route distinguisher, path ID, prefix: what tells a peer's routes apart (RFC 7911, RFC 4364)."""


class Held(NamedTuple):
    """A route as it was announced."""

    since: datetime
    facts: bytes
    """Attributes, next hop and labels as BSON: one object for all routes of a group, a fifth of its size as a dict."""


@dataclass(frozen=True)
class Known:
    """A session's routes at a moment, and how well they are known."""

    session: Mapping[str, Any]
    routes: Mapping[Key, Held]
    gap: datetime | None
    """The last one: what is older is uncertain, what is absent unknown,"""
    mended: frozenset[str]
    """but in these families, whose table came again behind it."""
    stale: bool
    """The session had ended, its peer restarts gracefully, and may keep its routes (RFC 4724)."""

    def route(self, key: Key, held: Held) -> Route:
        """One of the routes, as an answer."""
        family, rd, path_id, prefix = key
        state: RouteState = "stands"
        if self.stale:
            state = "stale"
        elif self.gap and held.since < self.gap and family not in self.mended:
            state = "uncertain"
        return Route.model_validate(
            {
                **bson.decode(held.facts),
                "peer": self.session["peer"],
                "state": state,
                "since": held.since,
                "family": family,
                "rd": rd,
                "path_id": path_id,
                "prefix": prefix,
            }
        )


async def standing(
    store: Store, at: datetime | None, *, peer: str | None = None, prefixes: Collection[str] | None = None
) -> AsyncIterator[Known]:
    """What stood at a moment, a session at a time, in the order of when they began.

    Args:
        store: the archive.
        at: the moment; None: now.
        peer: only this peer's.
        prefixes: only of these; None: of all.
    """
    async for session, stale in _sessions(store, at, peer):
        end = min(filter(None, (at, session.get("until"))), default=None)
        fold = _Fold(session["_id"], prefixes)
        async for update in _updates(store, session, end, prefixes):
            fold.add(update)
        gap, mended = await _last_gap(store, session, end), set()
        if gap:
            async for family, begin in _refreshes(store, session, gap, end):
                fold.forget(family, begin)
                mended.add(family)
        yield Known(session, fold.routes, gap, frozenset(mended), stale)


class _Fold:
    """One session's UPDATEs in their order, and what stands behind them."""

    def __init__(self, session: Any, prefixes: Collection[str] | None) -> None:
        self.routes: dict[Key, Held] = {}
        self._session = session
        self._prefixes = None if prefixes is None else frozenset(prefixes)

    def add(self, update: Mapping[str, Any]) -> None:
        if update.get("session") != self._session:
            return
        for group in update.get("withdraw", ()):
            for key in self._keys(group):
                self.routes.pop(key, None)
        attributes = update.get("attributes", {})
        for group in update.get("announce", ()):
            own = {name: value for name, value in group.items() if name not in _OF_KEY}
            held = Held(update["ts"], bson.encode({**attributes, **own}))
            for key in self._keys(group):
                self.routes[key] = held

    def forget(self, family: str, before: datetime) -> None:
        """Take away what a peer did not repeat when it sent its table of a family again."""
        for key in [key for key, held in self.routes.items() if key[0] == family and held.since < before]:
            del self.routes[key]

    def _keys(self, group: Mapping[str, Any]) -> Iterator[Key]:
        family, rd, path_id = group["family"], group.get("rd"), group.get("path_id")
        for prefix in group.get("nlri", ()):
            if self._prefixes is None or prefix in self._prefixes:
                yield family, rd, path_id, prefix


_OF_KEY = {"family", "rd", "path_id", "nlri", "host_bits", "objects"}


# --- what is read ---------------------------------------------------------------------------------------------------


async def _sessions(
    store: Store, at: datetime | None, peer: str | None
) -> AsyncIterator[tuple[Mapping[str, Any], bool]]:
    """The sessions that were up, and those that had ended and may come back gracefully."""
    whose: dict[str, Any] = {"peer.address": peer} if peer else {}
    began: dict[str, Any] = {**whose, "since": {"$lte": at}} if at else whose
    now = at or datetime.now(UTC)
    up: list[Mapping[str, Any]] = [one async for one in store.find("sessions", {**began, "until": None})]
    if at:
        up += [one async for one in store.find("sessions", {**began, "until": {"$gt": at}})]
    for session in sorted(up, key=lambda one: (one["since"], one["_id"])):
        yield session, False
    there = {session["peer"]["address"] for session in up}
    lately = {"$lte": now, "$gt": now - timedelta(seconds=4095)}
    async for session in store.find("sessions", {**began, "until": lately}, sort=(("until", -1),)):
        address = session["peer"]["address"]
        if address not in there and now < session["until"] + _restart_time(session):
            yield session, True
        there.add(address)


def _restart_time(session: Mapping[str, Any]) -> timedelta:
    """How long a peer's routes may stand after its session (RFC 4724 4.2): not if it, or we, ended it with a word."""
    if session["ended_by"] != "peer" or "notification" in session.get("reason", ""):
        return timedelta(0)
    for capability in session.get("capabilities", ()):
        if capability.get("code") == _GRACEFUL_RESTART:
            return timedelta(seconds=int(capability.get("time", 0)))
    return timedelta(0)


async def _updates(
    store: Store, session: Mapping[str, Any], end: datetime | None, prefixes: Collection[str] | None
) -> AsyncIterator[Mapping[str, Any]]:
    address = session["peer"]["address"]
    if prefixes is None:
        # Of a session that is up, what came since it was last written down as well.
        behind = end or max(datetime.now(UTC), session["last_seen"]) + timedelta(minutes=1)
        async for row in of_peer(store, address, [(session["since"], behind + timedelta(milliseconds=1))]):
            yield row.document
        return
    span = {"$gte": session["since"], **({"$lte": end} if end else {})}
    query: dict[str, Any] = {"peer.address": address, "ts": span}
    found: dict[Any, Mapping[str, Any]] = {}
    for kind in ("announce", "withdraw"):
        async for update in store.find("updates", {f"{kind}.nlri": {"$in": list(prefixes)}, **query}, fields=_FIELDS):
            found[update["_id"]] = update
    for one in sorted(found.values(), key=lambda one: (one["ts"], one["_id"])):
        yield one


async def _last_gap(store: Store, session: Mapping[str, Any], end: datetime | None) -> datetime | None:
    span = {"$gt": session["since"], **({"$lte": end} if end else {})}
    query = {"peer.address": session["peer"]["address"], "ts": span}
    async for gap in store.find("gaps", query, sort=(("ts", -1),), limit=1, fields=("ts",)):
        moment: datetime = gap["ts"]
        return moment
    return None


async def _refreshes(
    store: Store, session: Mapping[str, Any], gap: datetime, end: datetime | None
) -> AsyncIterator[tuple[str, datetime]]:
    """Tables that came again behind a gap: family, and when it began."""
    span = {"$gte": gap, **({"$lte": end} if end else {})}
    query = {"peer.address": session["peer"]["address"], "kind": "refresh", "ts": span}
    begun: dict[str, datetime] = {}
    async for marker in store.find("messages", query, sort=_ORDER, fields=("ts", "family", "subtype")):
        family = marker["family"]
        if marker["subtype"] == "begin":
            begun[family] = marker["ts"]
        elif marker["subtype"] == "end" and family in begun:
            yield family, begun.pop(family)
