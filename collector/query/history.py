"""What happened to a prefix: announcements, withdrawals, and the sessions' ends that took its routes away."""

from __future__ import annotations

import heapq
import ipaddress
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from collector.store.mongo import Store
from schemas.query import Event, HistoryEntry

_ORDER = (("ts", 1), ("_id", 1))
_FIELDS = ("ts", "peer", "session", "attributes", "announce", "withdraw")

_Row = tuple[datetime, int, bytes, Any]
_Route = tuple[str, str, str | None, int | None]
"""Of one peer: its address, family, route distinguisher, path ID."""


@dataclass(frozen=True)
class HistoryQuery:
    """One prefix, normalised; `start` is included, `end` is not."""

    prefix: str
    start: datetime | None = None
    end: datetime | None = None
    peer: str | None = None


async def history(store: Store, question: HistoryQuery) -> AsyncIterator[HistoryEntry]:
    """Everything that happened to a prefix, oldest first.

    One UPDATE that withdraws and announces the prefix yields the withdrawal first: the route stands afterwards
    (RFC 4271 4.3).
    """
    standing = _Standing()
    if question.start is not None:
        await _look_back(store, question, standing)
    spans = _span(question)
    rows = _merge(
        _updates(store, "withdraw", question, spans),
        _updates(store, "announce", question, spans),
        _ends(store, question, spans),
        _gaps(store, question, spans),
    )
    async for _, kind, _, document in rows:
        if kind == _GAP:
            yield _gap(document, question.prefix)
        elif kind == _END:
            for entry in standing.end(document, question.prefix):
                yield entry
        else:
            for entry in _entries(document, "withdraw" if kind == _WITHDRAW else "announce", question.prefix):
                standing.apply(entry, document.get("session"))
                yield entry


async def newest(entries: AsyncIterator[HistoryEntry], limit: int | None) -> AsyncIterator[HistoryEntry]:
    """The last `limit` entries, oldest first; all of them without a limit."""
    if limit is None:
        async for entry in entries:
            yield entry
        return
    kept: deque[HistoryEntry] = deque(maxlen=limit)
    async for entry in entries:
        kept.append(entry)
    for entry in kept:
        yield entry


class _Standing:
    """The routes of one prefix that stand, with the session that each belongs to."""

    def __init__(self) -> None:
        self._routes: dict[_Route, tuple[ObjectId | None, HistoryEntry]] = {}

    def apply(self, entry: HistoryEntry, session: ObjectId | None) -> None:
        route = (entry.peer.address, entry.family, entry.rd, entry.path_id)
        if entry.event == "announce":
            self._routes[route] = (session, entry)
        else:
            self._routes.pop(route, None)

    def end(self, session: Mapping[str, Any], prefix: str) -> Iterator[HistoryEntry]:
        for route, (of, entry) in list(self._routes.items()):
            if of == session["_id"]:
                del self._routes[route]
                yield HistoryEntry(
                    ts=session["until"],
                    peer=entry.peer,
                    event="session_end",
                    prefix=prefix,
                    family=entry.family,
                    path_id=entry.path_id,
                    rd=entry.rd,
                    reason=session.get("reason"),
                )


async def _look_back(store: Store, question: HistoryQuery, standing: _Standing) -> None:
    """Find what stood at `start`, of the sessions that were up then."""
    peer = {"peer.address": question.peer} if question.peer else {}
    started = {**peer, "since": {"$lt": question.start}}
    for still in ({"until": None}, {"until": {"$gte": question.start}}):
        async for session in store.find("sessions", {**started, **still}, fields=("peer", "since")):
            part = HistoryQuery(question.prefix, session["since"], question.start, session["peer"]["address"])
            spans = _span(part)
            rows = _merge(
                _updates(store, "withdraw", part, spans),
                _updates(store, "announce", part, spans),
            )
            async for _, kind, _, document in rows:
                for entry in _entries(document, "withdraw" if kind == _WITHDRAW else "announce", question.prefix):
                    standing.apply(entry, document.get("session"))


# --- the streams, each in the order of time -------------------------------------------------------------------

_WITHDRAW, _ANNOUNCE, _END, _GAP = 0, 1, 2, 3


def _span(question: HistoryQuery) -> dict[str, datetime]:
    span = {"$gte": question.start, "$lt": question.end}
    return {operator: moment for operator, moment in span.items() if moment is not None}


async def _updates(
    store: Store, event: Event, question: HistoryQuery, span: Mapping[str, datetime]
) -> AsyncIterator[_Row]:
    query: dict[str, Any] = {f"{event}.nlri": question.prefix}
    if question.peer:
        query["peer.address"] = question.peer
    if span:
        query["ts"] = span
    kind = _WITHDRAW if event == "withdraw" else _ANNOUNCE
    async for document in store.find("updates", query, sort=_ORDER, fields=_FIELDS):
        yield document["ts"], kind, document["_id"].binary, document


async def _ends(store: Store, question: HistoryQuery, span: Mapping[str, datetime]) -> AsyncIterator[_Row]:
    query: dict[str, Any] = {"until": span or {"$exists": True}}
    if question.peer:
        query["peer.address"] = question.peer
    async for session in store.find("sessions", query, sort=(("until", 1),), fields=("until", "reason")):
        yield session["until"], _END, session["_id"].binary, session


async def _gaps(store: Store, question: HistoryQuery, span: Mapping[str, datetime]) -> AsyncIterator[_Row]:
    whose = {"$in": _address_and_ranges(question.peer)} if question.peer else {"$exists": True}
    query: dict[str, Any] = {"peer.address": whose}
    if span:
        query["ts"] = span
    async for gap in store.find("gaps", query, sort=(("ts", 1),)):
        yield gap["ts"], _GAP, gap["_id"].binary, gap


def _address_and_ranges(address: str) -> list[str]:
    """An address, and every range that it can be of: peers of a range share ExaBGP's counter."""
    network = ipaddress.ip_network(address)
    return [address, *(str(network.supernet(new_prefix=length)) for length in range(network.prefixlen))]


_HOW = {
    "pipe": "they were in ExaBGP's pipe when a receiver died",
    "disk": "the spool had no room",
    "end": "ExaBGP and its receiver died together, with what they still had",
    "spool": "a part of the spool is gone",
}


def _gap(gap: Mapping[str, Any], prefix: str) -> HistoryEntry:
    lines = gap.get("lines")
    return HistoryEntry(
        ts=gap["ts"],
        peer=gap["peer"],
        event="gap",
        prefix=prefix,
        family="ipv6 unicast" if ":" in prefix else "ipv4 unicast",
        since=gap.get("after"),
        lines=lines,
        reason=f"{_lines(lines)} lost: {_HOW[gap['cause']]}",
    )


def _lines(count: int | None) -> str:
    return "unknown lines" if count is None else f"{count} line{'s' * (count != 1)}"


async def _merge(*streams: AsyncIterator[_Row]) -> AsyncIterator[_Row]:
    """Streams in order as one stream in order: `heapq.merge` for asynchronous iterators."""
    heap: list[tuple[datetime, bytes, int, int, _Row]] = []

    async def advance(number: int) -> None:
        row = await anext(streams[number], None)
        if row is not None:
            ts, kind, key, _ = row
            # An end comes after all of its millisecond; within one message the withdrawal comes first.
            # A gap lies before the line that revealed it.
            rank = {_END: b"\xff" + key, _GAP: b""}.get(kind, key)
            heapq.heappush(heap, (ts, rank, kind, number, row))

    for number in range(len(streams)):
        await advance(number)
    while heap:
        *_, number, row = heapq.heappop(heap)
        yield row
        await advance(number)


def _entries(document: Mapping[str, Any], event: Event, prefix: str) -> Iterator[HistoryEntry]:
    attributes = document.get("attributes", {}) if event == "announce" else {}
    for group in document[event]:
        for nlri in group.get("nlri", ()):
            if nlri == prefix:
                yield HistoryEntry.model_validate(
                    {
                        **attributes,
                        **group,
                        "ts": document["ts"],
                        "peer": document["peer"],
                        "event": event,
                        "prefix": prefix,
                    }
                )
