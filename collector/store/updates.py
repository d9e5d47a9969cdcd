"""UPDATEs in the order of time, of one peer or of some routes, in windows of time that hold some thousands of them.

The embedded server sorts all that matches before it answers, so a window bounds its memory and ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from bson import ObjectId

from collector.store.mongo import Document, Store

T = TypeVar("T")
Span = tuple[datetime, datetime]
"""From, and up to but without."""
_Read = Callable[[Mapping[str, datetime]], AsyncIterator[Document]]
"""Reads one window."""

_FIRST_WINDOW = timedelta(seconds=1)
_WIDEST_WINDOW = timedelta(hours=1)
_WIDEST_OF_FEW = timedelta(days=7)
"""Of some routes of a table less is said."""
_MANY, _FEW = 4000, 1000
_PREFIXES, _KEYS = 10, 50
"""In one question: the embedded server compares each document that it finds with all of them."""


def updates_of_peer(
    store: Store, address: str, spans: Sequence[Span], *, most: int | None = None
) -> AsyncIterator[Document]:
    """The UPDATEs of one peer in ranges of time that follow each other.

    Args:
        store: the archive.
        address: the peer's.
        spans: the ranges.
        most: how many there can be, where that is known: what is left is read at once when it is not much, so that a
            year in which nothing was said costs nothing.
    """
    return _in_windows(partial(updates_within, store, address), spans, _WIDEST_WINDOW, most)


def updates_within(store: Store, address: str, span: Mapping[str, datetime]) -> AsyncIterator[Document]:
    """The UPDATEs of one peer in one range of time; those of one millisecond in the order of their lines."""
    return _within(store, {"peer.address": address}, None, span)


def announcements_of(
    store: Store, asn: int, span: Span, *, fields: Sequence[str] | None = None
) -> AsyncIterator[Document]:
    """The UPDATEs of all peers that announce what an AS originates, in a range of time; `ts` must be of the fields."""
    return _in_windows(partial(_within, store, {"origin_asns": asn}, fields), [span], _WIDEST_OF_FEW)


async def withdrawals_of(store: Store, address: str, prefixes: Sequence[str], span: Span) -> AsyncIterator[Document]:
    """The UPDATEs of one peer that withdraw any of some prefixes, in a range of time; their keys are kept in memory."""
    times: dict[ObjectId, datetime] = {}
    within = {"$gte": span[0], "$lt": span[1]}
    for some in _pieces(prefixes, _PREFIXES):
        query = {"withdraw.nlri": {"$in": some}, "peer.address": address, "ts": within}
        async for found in store.find("updates", query, fields=("ts",)):
            times[found["_id"]] = found["ts"]
    for keys in _pieces(sorted(times, key=lambda key: (times[key], key.binary)), _KEYS):
        documents = {document["_id"]: document async for document in store.find("updates", {"_id": {"$in": keys}})}
        for key in keys:
            if key in documents:  # it has not expired meanwhile
                yield documents[key]


async def _in_windows(
    read: _Read, spans: Sequence[Span], widest: timedelta, most: int | None = None
) -> AsyncIterator[Document]:
    width = _FIRST_WINDOW
    for begin, end in spans:
        while begin < end:
            behind = end if most is not None and most <= _MANY else min(begin + width, end)
            count = 0
            async for document in read({"$gte": begin, "$lt": behind}):
                count += 1
                yield document
            most = most and max(most - count, 0)
            begin = behind
            if count > _MANY:
                width /= 4
            elif count < _FEW:
                width = min(width * 2, widest)


async def _within(
    store: Store, query: Mapping[str, Any], fields: Sequence[str] | None, span: Mapping[str, datetime]
) -> AsyncIterator[Document]:
    same: list[Document] = []
    async for document in store.find("updates", {**query, "ts": span}, sort=(("ts", 1),), fields=fields):
        if same and same[-1]["ts"] != document["ts"]:
            for one in sorted(same, key=_key):
                yield one
            same = []
        same.append(document)
    for one in sorted(same, key=_key):
        yield one


def _pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _key(document: Document) -> bytes:
    key: bytes = document["_id"].binary
    return key
