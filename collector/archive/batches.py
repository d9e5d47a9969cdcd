"""Batches of documents written to the store; what it can never accept becomes rejects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from collector.archive.gaps import rejected
from collector.errors import StoreError
from collector.spool.segment import SpooledLine
from collector.store.mongo import Document, Store
from collector.store.writes import encoding_fault
from schemas.documents import Gap, Place, Session
from schemas.message import Peer

log = logging.getLogger(__name__)

_SAID = ("capabilities", "hold_time", "reason", "router_id")
"""What of sessions and gaps came from outside as it is: all else are our own words, numbers and addresses."""


T = TypeVar("T")


class Checkpoint(NamedTuple):
    """The state after a line."""

    next_line: int
    ts: datetime
    """The stored time there."""
    sessions: Sequence[Document]
    """Those that have changed since the last one."""
    tracker: Mapping[str, Any]
    decoder: Mapping[str, Any]


@dataclass
class WriteBatch:
    """The documents of some lines."""

    documents: dict[str, list[Document]] = field(default_factory=dict)
    origins: dict[str, list[tuple[SpooledLine, Place]]] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    refused: Sequence[Gap] = ()
    """Of UPDATEs that the store can never accept."""
    lines: int = 0
    full: bool = False
    """Whether there may be more lines at once."""
    checkpoint: Checkpoint | None = None
    """The state after the last line, if it is to be saved."""

    def add(self, collection: str, document: Document, line: SpooledLine, place: Place) -> None:
        """Add what became of a line."""
        self.documents.setdefault(collection, []).append(document)
        self.origins.setdefault(collection, []).append((line, place))


class BatchWriter:
    """Writes batches.

    Args:
        store: where to.
        make_reject: makes the reject of a line, of its place and of why.
    """

    def __init__(self, store: Store, make_reject: Callable[[SpooledLine, Place, str], Document]) -> None:
        self._store = store
        self._make_reject = make_reject

    async def write(self, batch: WriteBatch) -> int:
        """Write a batch; what the store can never accept becomes a reject. Idempotent.

        Returns:
            How many of its lines are rejects.
        """
        rejects = list(batch.documents.get("rejects", ()))
        writing = [self._insert(batch, collection) for collection in ("updates", "messages")]
        writing.append(self._insert_gaps(batch.gaps))
        for refused in await _all(writing):
            rejects += refused
        await self._insert_gaps(batch.refused)
        await self._insert_rejects(rejects)
        return len(rejects)

    async def _insert(self, batch: WriteBatch, collection: str) -> list[Document]:
        """Insert a batch's documents of one collection; the rejects that become of those that can never be stored."""
        documents = batch.documents.get(collection)
        if not documents:
            return []
        refusals = await self._store.insert(collection, documents)
        refused = [(*batch.origins[collection][refusal.at], refusal.reason) for refusal in refusals]
        if refused:
            line, _place, reason = refused[0]
            log.error(
                "the store cannot take %d of %d %s, which are kept as rejects; the first: line %d, %s",
                *(len(refused), len(documents), collection, line.number, reason),
            )
        if collection == "updates":
            peers = [Peer.model_validate(documents[refusal.at]["peer"]) for refusal in refusals]
            batch.refused = [
                rejected(place, line.number, peer, reason)
                for peer, (line, place, reason) in zip(peers, refused, strict=True)
            ]
        return [self._make_reject(line, place, reason) for line, place, reason in refused]

    async def _insert_rejects(self, rejects: Sequence[Document]) -> None:
        """Insert rejects; of those whose very lines the store does not take, all but their messages."""
        if not rejects:
            return
        bare = []
        for refusal in await self._store.insert("rejects", rejects):
            reject = rejects[refusal.at]
            log.error(
                "the store takes no reject with line %d in it: its message is lost, %s", reject["line"], refusal.reason
            )
            reason = f"{reject['reason']}; its line too: {refusal.reason}"
            bare.append({**reject, "raw": _head(reject["raw"]), "reason": reason})
        if bare:
            for refusal in await self._store.insert("rejects", bare):
                raise StoreError(f"a reject cannot be stored: {refusal.reason}")

    async def _insert_gaps(self, gaps: Sequence[Gap]) -> list[Document]:
        if gaps:
            for refusal in await self._store.insert("gaps", [storable_document(gap) for gap in gaps]):
                raise StoreError(f"a gap cannot be stored: {refusal.reason}")
        return []


async def _all(attempts: Sequence[Awaitable[T]]) -> list[T]:
    """Wait for all of them, even if one fails: cancelling a write would close its connection."""
    results = await asyncio.gather(*attempts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _head(raw: str | bytes) -> str:
    """The part of an ExaBGP line before its message: the neighbour, and the counter."""
    text = raw if isinstance(raw, str) else ""
    return text[: max(text.find('"message"'), 0)]


def storable_document(one: Gap | Session) -> Document:
    """The document of one, without what a peer or ExaBGP said of it where no store takes that."""
    document = one.to_document()
    if encoding_fault(document) is None:
        return document
    return {name: value for name, value in document.items() if name not in _SAID}
