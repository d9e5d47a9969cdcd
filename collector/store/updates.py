"""Reads UPDATEs and other messages in order of time, in windows that suit the server (`Traits`)."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any, TypeVar

from bson import ObjectId

from collector.store.mongo import Store
from schemas.stored import MessageDocument, SessionDocument, UpdateDocument

T = TypeVar("T")
D = TypeVar("D", UpdateDocument, MessageDocument)
IN_ORDER = (("ts", 1), ("_id", 1))
"""Of one instance's lines, the order in which they came."""
NEWEST_FIRST = (("ts", -1), ("_id", -1))
Span = tuple[datetime, datetime]
"""From, and up to but without."""
_Read = Callable[[Mapping[str, datetime]], AsyncGenerator[D, None]]
"""Reads one window."""

_FIRST_WINDOW = timedelta(seconds=1)
_NARROWEST_WINDOW = timedelta(milliseconds=1)
"""Stored times have no less between them: where a clock was set back, very many may be the same."""
_WIDEST_WINDOW = timedelta(hours=1)
_WIDEST_OF_FEW = timedelta(days=7)
"""Of some routes of a table less is said, and beside UPDATEs."""
_FEW = 4
"""A window that holds less than this part of what it should hold is made wider."""


def updates_of_peer(
    store: Store, address: str, spans: Sequence[Span], *, most: int | None = None
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer in ranges of time that follow each other.

    Args:
        store: the archive.
        address: the peer's.
        spans: the ranges.
        most: how many there can be, where that is known: what is left is read at once when it is not much, so that a
            year in which nothing was said costs nothing.
    """
    return _in_windows(store, partial(updates_within, store, address), spans, _WIDEST_WINDOW, most)


async def updates_of_session(
    store: Store, session: SessionDocument, span: Span, *, most: int
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of a session in a range of time, perhaps with others of its peer's address among them.

    Args:
        store: the archive.
        session: whose.
        span: the range.
        most: how many it can have there.
    """
    peer = session["peer"]
    query: dict[str, object] = {"peer.address": peer["address"]}
    few: int | None = most
    if "router" in peer and (await store.traits()).partial_indexes:
        query.update({f"peer.{name}": peer.get(name) for name in ("router", "rib", "rd")})
    elif "router" in peer:
        few = None  # of how many routers, and tables, this address has others is not known
    async with aclosing(_in_windows(store, partial(_within, store, query, None), [span], _WIDEST_WINDOW, few)) as found:
        async for document in found:
            yield document


def updates_within(store: Store, address: str, span: Mapping[str, datetime]) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer in one range of time; those of one millisecond in the order of their lines."""
    return _within(store, {"peer.address": address}, None, span)


def announcements_of(
    store: Store, asn: int, span: Span, *, fields: Sequence[str] | None = None
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of all peers that announce what an AS originates, in a range of time; `ts` must be of the fields."""
    return _in_windows(store, partial(_within, store, {"origin_asns": asn}, fields), [span], _WIDEST_OF_FEW)


def messages_of(store: Store, span: Span) -> AsyncGenerator[MessageDocument, None]:
    """What was said beside UPDATEs, by all peers, in a range of time."""

    def read(within: Mapping[str, datetime]) -> AsyncGenerator[MessageDocument, None]:
        return store.find("messages", {"ts": within}, sort=IN_ORDER)

    return _in_windows(store, read, [span], _WIDEST_OF_FEW)


async def updates_naming(
    store: Store, address: str, prefixes: Sequence[str], span: Span, events: Sequence[str] = ("announce", "withdraw")
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer that name any of some prefixes, in a range of time; their keys are kept in memory.

    Args:
        store: the archive.
        address: the peer's.
        prefixes: the names.
        span: the range.
        events: how they are named.
    """
    traits = await store.traits()
    times: dict[ObjectId, datetime] = {}
    within = {"$gte": span[0], "$lt": span[1]}
    for event, some in product(events, pieces(prefixes, traits.prefixes)):
        query = {f"{event}.nlri": {"$in": some}, "peer.address": address, "ts": within}
        async for found in store.find("updates", query, fields=("ts",)):
            times[found["_id"]] = found["ts"]
    for keys in pieces(sorted(times, key=lambda key: (times[key], key.binary)), traits.keys):
        within = {"$gte": times[keys[0]], "$lte": times[keys[-1]]}  # with the peer: the key of shards
        query = {"_id": {"$in": keys}, "peer.address": address, "ts": within}
        documents = {document["_id"]: document async for document in store.find("updates", query)}
        for key in keys:
            if key in documents:  # it has not expired meanwhile
                yield documents[key]


async def _in_windows(
    store: Store, read: _Read[D], spans: Sequence[Span], widest: timedelta, most: int | None = None
) -> AsyncGenerator[D, None]:
    """Windows reach over several spans: four thousand short ones cost no more than a long one."""
    if not spans:
        return
    at, (begin, last) = 0, (spans[0][0], spans[-1][1])
    many = (await store.traits()).window_documents
    if many is None:
        many, width, widest = sys.maxsize, last - begin, last - begin
    else:
        width, widest = _FIRST_WINDOW, max(widest, (last - begin) * (many // _FEW) / most if most else widest)
    while at < len(spans):
        begin = max(begin, spans[at][0])
        behind = last if most is not None and most <= many else min(begin + width, last)
        count = 0
        async with aclosing(read({"$gte": begin, "$lt": behind})) as documents:
            async for document in documents:
                count += 1
                at = _reach(spans, at, document["ts"])
                if document["ts"] >= spans[at][0]:
                    yield document
        most = most and max(most - count, 0)
        begin = behind
        at = _reach(spans, at, begin)
        if count > many:
            width = max(width / 4, _NARROWEST_WINDOW)
        elif count < many // _FEW:
            width = min(width * 2, widest)


def _reach(spans: Sequence[Span], at: int, ts: datetime) -> int:
    """The first span, from one on, that does not end before a time."""
    while at < len(spans) and spans[at][1] <= ts:
        at += 1
    return at


def _within(
    store: Store, query: Mapping[str, Any], fields: Sequence[str] | None, span: Mapping[str, datetime]
) -> AsyncGenerator[UpdateDocument, None]:
    return store.find("updates", {**query, "ts": span}, sort=IN_ORDER, fields=fields)


def pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Values in their order, so many at a time."""
    return (values[at : at + size] for at in range(0, len(values), size))
