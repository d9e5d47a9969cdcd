"""Reads UPDATEs and other messages in order of time, in windows that suit the server (`Traits`)."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import TypeVar

from bson import ObjectId

from collector.store.mongo import Query, Store
from schemas.stored import MessageDocument, SessionDocument, UpdateDocument

T = TypeVar("T")
D = TypeVar("D", UpdateDocument, MessageDocument)
IN_ORDER = (("ts", 1), ("_id", 1))
"""The order in which lines of one instance arrived."""
NEWEST_FIRST = (("ts", -1), ("_id", -1))
Span = tuple[datetime, datetime]
"""The begin, included, and the end, excluded."""
_Read = Callable[[Mapping[str, datetime]], AsyncGenerator[D, None]]
"""Reads one window."""

_FIRST_WINDOW = timedelta(seconds=1)
_NARROWEST_WINDOW = timedelta(milliseconds=1)
"""Stored times are no finer than this: after a clock was set back, very many may be the same."""
_WIDEST_WINDOW = timedelta(hours=1)
_WIDEST_OF_FEW = timedelta(days=7)
"""Few documents match for some routes of a table, or for messages other than UPDATEs."""
_FEW = 4
"""A window with less than this fraction of the wanted number of documents is widened."""


def updates_of_peer(
    store: Store, address: str, spans: Sequence[Span], *, most: int | None = None
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer in consecutive time ranges.

    Args:
        store: the archive.
        address: the peer's.
        spans: the ranges.
        most: the maximum number of UPDATEs, if known: a small rest is read at once, so that a year without messages
            costs nothing.
    """
    return _in_windows(store, partial(updates_within, store, address), spans, _WIDEST_WINDOW, most)


async def updates_of_session(
    store: Store, session: SessionDocument, span: Span, *, most: int
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of a session in a time range, possibly with those of other sessions of its peer's address.

    Args:
        store: the archive.
        session: the session.
        span: the time range.
        most: the maximum number of UPDATEs that it can have there.
    """
    peer = session["peer"]
    query: dict[str, object] = {"peer.address": peer["address"]}
    few: int | None = most
    if "router" in peer and (await store.traits()).partial_indexes:
        query.update({f"peer.{name}": peer.get(name) for name in ("router", "rib", "rd")})
    elif "router" in peer:
        few = None  # how many UPDATEs other routers, and tables, have of this address is unknown
    async with aclosing(_in_windows(store, partial(_within, store, query, None), [span], _WIDEST_WINDOW, few)) as found:
        async for document in found:
            yield document


def updates_within(store: Store, address: str, span: Mapping[str, datetime]) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer in one time range; those of one millisecond in the order of their lines."""
    return _within(store, {"peer.address": address}, None, span)


def announcements_of(
    store: Store, asn: int, span: Span, *, fields: Sequence[str] | None = None
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of all peers that announce routes of an origin AS, in a time range; `fields` must include `ts`."""
    return _in_windows(store, partial(_within, store, {"origin_asns": asn}, fields), [span], _WIDEST_OF_FEW)


def messages_of(store: Store, span: Span) -> AsyncGenerator[MessageDocument, None]:
    """Messages other than UPDATEs of all peers, in a time range."""

    def read(within: Mapping[str, datetime]) -> AsyncGenerator[MessageDocument, None]:
        return store.find("messages", {"ts": within}, sort=IN_ORDER)

    return _in_windows(store, read, [span], _WIDEST_OF_FEW)


async def updates_naming(
    store: Store, address: str, prefixes: Sequence[str], span: Span, events: Sequence[str] = ("announce", "withdraw")
) -> AsyncGenerator[UpdateDocument, None]:
    """The UPDATEs of one peer that contain any of the prefixes, in a time range; their keys are kept in memory.

    Args:
        store: the archive.
        address: the peer's.
        prefixes: the prefixes.
        span: the time range.
        events: whether they are announced, withdrawn or both.
    """
    traits = await store.traits()
    times: dict[ObjectId, datetime] = {}
    within = {"$gte": span[0], "$lt": span[1]}
    for event, some in product(events, pieces(prefixes, traits.prefixes)):
        query = {f"{event}.nlri": {"$in": some}, "peer.address": address, "ts": within}
        async for found in store.find("updates", query, fields=("ts",)):
            times[found["_id"]] = found["ts"]
    for keys in pieces(sorted(times, key=lambda key: (times[key], key.binary)), traits.keys):
        within = {"$gte": times[keys[0]], "$lte": times[keys[-1]]}  # with the peer, which is the shard key
        query = {"_id": {"$in": keys}, "peer.address": address, "ts": within}
        documents = {document["_id"]: document async for document in store.find("updates", query)}
        for key in keys:
            if key in documents:  # unless it has expired meanwhile
                yield documents[key]


async def _in_windows(
    store: Store, read: _Read[D], spans: Sequence[Span], widest: timedelta, most: int | None = None
) -> AsyncGenerator[D, None]:
    """Windows extend over several spans: four thousand short ones cost no more than a long one."""
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
        end = last if most is not None and most <= many else min(begin + width, last)
        count = 0
        async with aclosing(read({"$gte": begin, "$lt": end})) as documents:
            async for document in documents:
                count += 1
                at = _reach(spans, at, document["ts"])
                if document["ts"] >= spans[at][0]:
                    yield document
        most = most and max(most - count, 0)
        begin = end
        at = _reach(spans, at, begin)
        if count > many:
            width = max(width / 4, _NARROWEST_WINDOW)
        elif count < many // _FEW:
            width = min(width * 2, widest)


def _reach(spans: Sequence[Span], at: int, ts: datetime) -> int:
    """The index of the first span, starting at `at`, that does not end before a time."""
    while at < len(spans) and spans[at][1] <= ts:
        at += 1
    return at


def _within(
    store: Store, query: Query, fields: Sequence[str] | None, span: Mapping[str, datetime]
) -> AsyncGenerator[UpdateDocument, None]:
    return store.find("updates", {**query, "ts": span}, sort=IN_ORDER, fields=fields)


def pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The values in order, up to `size` at a time."""
    return (values[at : at + size] for at in range(0, len(values), size))
