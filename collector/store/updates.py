"""The UPDATEs of one peer in the order of time, in windows of time that hold some thousands of them.

The embedded server sorts all that matches before it answers, so a window bounds its memory and ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from collector.store.mongo import Document, Store

Span = tuple[datetime, datetime]
"""From, and up to but without."""

_FIRST_WINDOW = timedelta(seconds=1)
_WIDEST_WINDOW = timedelta(hours=1)
_MANY, _FEW = 4000, 1000


async def updates_of_peer(
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
    width = _FIRST_WINDOW
    for begin, end in spans:
        while begin < end:
            behind = end if most is not None and most <= _MANY else min(begin + width, end)
            count = 0
            async for document in updates_within(store, address, {"$gte": begin, "$lt": behind}):
                count += 1
                yield document
            most = most and max(most - count, 0)
            begin = behind
            if count > _MANY:
                width /= 4
            elif count < _FEW:
                width = min(width * 2, _WIDEST_WINDOW)


async def updates_within(store: Store, address: str, span: Mapping[str, datetime]) -> AsyncIterator[Document]:
    """The UPDATEs of one peer in one range of time; those of one millisecond in the order of their lines."""
    same: list[Document] = []
    async for document in store.find("updates", {"peer.address": address, "ts": span}, sort=(("ts", 1),)):
        if same and same[-1]["ts"] != document["ts"]:
            for one in sorted(same, key=_key):
                yield one
            same = []
        same.append(document)
    for one in sorted(same, key=_key):
        yield one


def _key(document: Document) -> bytes:
    key: bytes = document["_id"].binary
    return key
