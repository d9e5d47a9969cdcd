"""Writes batches of documents to the store, and turns what it can never accept into rejects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast, overload

from collector.archive.gaps import rejected
from collector.errors import StoreError
from collector.spool.segment import SpooledLine
from collector.store.mongo import Store
from collector.store.writes import encoding_fault
from schemas.documents import Gap, Place, Session
from schemas.notes import SourceNote, TrackerNote
from schemas.peer import Peer
from schemas.stored import GapDocument, LineDocument, RejectDocument, SessionDocument, UpdateDocument

log = logging.getLogger(__name__)

_TEXT_FROM_OUTSIDE = ("capabilities", "hold_time", "reason", "router_id")
"""Fields of sessions and gaps with text from outside; all other fields are our own words, numbers and addresses."""


T = TypeVar("T")


class Checkpoint(NamedTuple):
    """The state after a line."""

    next_line: int
    ts: datetime
    """The stored time of that line."""
    sessions: Sequence[SessionDocument]
    """Those that have changed since the last checkpoint."""
    tracker: TrackerNote
    decoder: SourceNote


@dataclass
class WriteBatch:
    """The documents of some lines."""

    documents: dict[str, list[LineDocument]] = field(default_factory=dict)
    origins: dict[str, list[tuple[SpooledLine, Place]]] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    refused: Sequence[Gap] = ()
    """UPDATEs that the store can never accept."""
    lines: int = 0
    full: bool = False
    """Whether more lines may be waiting."""
    checkpoint: Checkpoint | None = None
    """The state after the last line, if it should be saved."""

    def add(self, collection: str, document: LineDocument, line: SpooledLine, place: Place) -> None:
        """Add the document of a line."""
        self.documents.setdefault(collection, []).append(document)
        self.origins.setdefault(collection, []).append((line, place))


class BatchWriter:
    """Writes batches.

    Args:
        store: where to.
        make_reject: makes a reject of a line, its place and the reason.
    """

    def __init__(self, store: Store, make_reject: Callable[[SpooledLine, Place, str], RejectDocument]) -> None:
        self._store = store
        self._make_reject = make_reject

    async def write(self, batch: WriteBatch) -> int:
        """Write a batch; documents that the store can never accept become rejects. Idempotent.

        Returns:
            How many of the lines became rejects.
        """
        rejects = list(cast("list[RejectDocument]", batch.documents.get("rejects", [])))
        writing = [self._insert(batch, collection) for collection in ("updates", "messages")]
        writing.append(self._insert_gaps(batch.gaps))
        for refused in await _all(writing):
            rejects += refused
        await self._insert_gaps(batch.refused)
        await self._insert_rejects(rejects)
        return len(rejects)

    async def _insert(self, batch: WriteBatch, collection: str) -> list[RejectDocument]:
        """Insert a batch's documents of one collection; returns rejects for those that can never be stored."""
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
            updates = cast("list[UpdateDocument]", documents)
            peers = [Peer.model_validate(updates[refusal.at]["peer"]) for refusal in refusals]
            batch.refused = [
                rejected(place, line.number, peer, reason)
                for peer, (line, place, reason) in zip(peers, refused, strict=True)
            ]
        return [self._make_reject(line, place, reason) for line, place, reason in refused]

    async def _insert_rejects(self, rejects: Sequence[RejectDocument]) -> None:
        """Insert rejects; if the store refuses the raw lines too, insert the rejects without them."""
        if not rejects:
            return
        bare = []
        for refusal in await self._store.insert("rejects", rejects):
            reject = rejects[refusal.at]
            log.error(
                "the store refuses even the reject of line %d, whose message is lost: %s",
                reject["line"],
                refusal.reason,
            )
            reason = f"{reject['reason']}; its line too: {refusal.reason}"
            bare.append({**reject, "raw": _head(reject["raw"]), "reason": reason})
        if bare:
            for refusal in await self._store.insert("rejects", bare):
                raise StoreError(f"a reject cannot be stored: {refusal.reason}")

    async def _insert_gaps(self, gaps: Sequence[Gap]) -> list[RejectDocument]:
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


@overload
def storable_document(one: Gap) -> GapDocument: ...
@overload
def storable_document(one: Session) -> SessionDocument: ...
def storable_document(one: Gap | Session) -> GapDocument | SessionDocument:
    """The document of a gap or session, without text from a peer or ExaBGP that no store accepts."""
    document = one.to_document()
    if encoding_fault(document) is None:
        return document
    without: Any = {name: value for name, value in document.items() if name not in _TEXT_FROM_OUTSIDE}
    return cast("GapDocument | SessionDocument", without)
