"""Named consumers of the stored stream: each resumes where it was, whatever ended it.

What is read is complete: an archiver records the line up to which everything is stored (`Meta.note_stored`), and
nothing after that line is given. Documents of one instance come in the order of its lines; there is no order between
instances.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar, cast

from collector.store.collections import EXPIRIES
from collector.store.meta import InstancePosition
from collector.store.mongo import Store
from collector.store.updates import messages_of, updates_of_peer
from schemas.keys import collector_number, key_collector, key_line
from schemas.stored import GapDocument, MessageDocument, UpdateDocument

Collection = Literal["updates", "messages", "gaps"]
AnyDocument = UpdateDocument | MessageDocument | GapDocument
"""A document of one of these collections."""
D = TypeVar("D", GapDocument, MessageDocument)
_Documents = (
    AsyncGenerator[UpdateDocument, None] | AsyncGenerator[MessageDocument, None] | AsyncGenerator[GapDocument, None]
)

_EPOCH = datetime.fromtimestamp(0, UTC)
_TICK = timedelta(milliseconds=1)
_SLACK = timedelta(seconds=2)
"""In archives of version 0.1 time could run backwards."""
_LEAST_KEPT = timedelta(days=1)
_READ = frozenset(("updates", "messages"))
_RECEIVER_START = "helper_start"
"""The kind of document that may be newer than the lines after it (`ReceiverStart`)."""


class ReadDocument(NamedTuple):
    """A document, and the consumer's position after it."""

    collection: Collection
    document: AnyDocument
    position: InstancePosition


class Expired(NamedTuple):
    """What a consumer missed: some or all documents stored between two times have been removed."""

    setting: str
    """The key of [retention] that removed them: `updates_days`, `messages_days` or `keepalives_days`."""
    after: datetime
    before: datetime
    position: InstancePosition


class Consumer:
    """A named reader of everything that is stored; its position is kept in `meta`, as `consumer:NAME`.

    Documents that were read without advancing the position are given again, so each is given at least once. Only one
    reader may use a name at a time.

    Args:
        store: the archive, opened with `primary=True`: other members of a replica set may lag behind.
        name: of letters, digits and hyphens.
    """

    def __init__(self, store: Store, name: str) -> None:
        if not store.is_primary:
            raise ValueError("a consumer reads from the primary")
        self._store = store
        self._name = name

    async def read(self) -> AsyncGenerator[ReadDocument | Expired, None]:
        """What is stored after the position, up to now; call it again for more.

        A new name begins with what is stored from then on; a new instance begins with its first line.

        Raises:
            StoreError: the archive cannot be read.
        """
        reached = await self._store.meta.reached()
        positions = await self._store.meta.positions(self._name, reached)
        for upto in reached:
            known = positions.get(upto.instance)
            begin = known if known and known.spool == upto.spool else upto._replace(line=-1, ts=_EPOCH)
            if begin.line < upto.line:
                async with aclosing(self._between(begin, upto)) as stored:
                    async for one in stored:
                        yield one

    async def advance(self, one: ReadDocument | Expired) -> None:
        """Record that the next read continues after this document; durable when it returns. A position never goes back.

        Raises:
            StoreError: it cannot be written.
        """
        await self._store.meta.advance(self._name, one.position)

    async def _between(
        self, begin: InstancePosition, upto: InstancePosition
    ) -> AsyncGenerator[ReadDocument | Expired, None]:
        async for expired in self._expired(begin):
            yield expired
        position = begin
        async with aclosing(_merged(await _streams(self._store, begin, upto))) as merged:
            waiting: list[_Row] = []
            async for row in merged:
                if waiting and row.line != waiting[0].line:
                    for one in _in_place(waiting, position):
                        yield one
                        position = one.position
                    waiting = []
                waiting.append(row)
            for one in _in_place(waiting, position):
                yield one

    async def _expired(self, begin: InstancePosition) -> AsyncIterator[Expired]:
        now = datetime.now(UTC)
        if begin.ts == _EPOCH or now - begin.ts < _LEAST_KEPT:
            return
        lifetimes = await self._store.lifetimes()
        for setting in (expiry.setting for expiry in EXPIRIES if expiry.collection in _READ):
            kept = now - timedelta(seconds=lifetimes.get(setting, 0))
            if setting in lifetimes and begin.ts < kept:
                yield Expired(setting, begin.ts, kept, begin)


class _Row(NamedTuple):
    """A document and its line; gaps precede the document that revealed them."""

    line: int
    rank: bool
    at: int
    """The number of the stream that it is from."""
    collection: Collection
    document: AnyDocument


def _in_place(rows: Sequence[_Row], before: InstancePosition) -> list[ReadDocument]:
    """The documents of one line: the position passes the line only after the last of them."""
    *others, last = rows
    line, document = last.line, last.document
    ts = before.ts if document.get("kind") == _RECEIVER_START else max(before.ts, document["ts"])
    return [
        *(ReadDocument(one.collection, one.document, before._replace(line=line - 1)) for one in others),
        ReadDocument(last.collection, document, before._replace(line=line, ts=ts)),
    ]


async def _streams(store: Store, begin: InstancePosition, upto: InstancePosition) -> list[AsyncGenerator[_Row, None]]:
    """The documents that each collection has of an instance's lines, in the order of the lines."""
    number = collector_number(upto.instance)
    first = begin.ts if begin.line >= 0 else await _oldest(store, upto.ts)
    # What a receiver says when it starts, and the gaps that this reveals, may be newer than the end of what we read.
    gaps = [one async for one in store.find("gaps", {"ts": {"$gte": first}})]
    started = {"peer.address": None, "kind": _RECEIVER_START, "ts": {"$gte": first}}
    starts = [one async for one in store.find("messages", started)]
    parts: list[tuple[Collection, _Documents]] = [
        ("gaps", _each(sorted(gaps, key=lambda one: (one["line"], one["_id"])))),
        ("messages", _each(sorted(starts, key=lambda one: key_line(one["_id"])))),
        ("messages", _but_starts(messages_of(store, (first, upto.ts + _TICK)))),
    ]
    for address, since in (await _last_lines(store, number, first)).items():
        parts.append(("updates", updates_of_peer(store, address, [(max(first, since), upto.ts + _TICK)])))
    lines = range(begin.line + 1, upto.line + 1)
    return [_of_instance(number, lines, at, *part) for at, part in enumerate(parts)]


async def _oldest(store: Store, otherwise: datetime) -> datetime:
    """The time of the oldest documents, more or less."""
    found = [
        one["ts"]
        for collection in _READ
        async for one in store.find(collection, {}, sort=(("_id", 1),), limit=1, fields=("ts",))
    ]
    return min(found, default=otherwise) - _SLACK


async def _last_lines(store: Store, number: int, begin: datetime) -> dict[str, datetime]:
    """The peers that may have UPDATEs of an instance from a time on, and since when each may have them."""
    peers: dict[str, datetime] = {}
    for still in ({"until": None}, {"until": {"$gte": begin}}):
        async for session in store.find("sessions", still, fields=("peer", "since", "last_seen", "updates")):
            if key_collector(session["_id"]) == number and session["last_seen"] >= begin and session["updates"]:
                address, since = session["peer"]["address"], session["since"] - _SLACK
                peers[address] = min(peers.get(address, since), since)
    kept = (await store.lifetimes()).get("sessions_days")
    if kept and begin < datetime.now(UTC) - timedelta(seconds=kept):
        peers |= dict.fromkeys(await store.values("updates", "peer.address"), begin)
    return peers


async def _each(documents: Sequence[D]) -> AsyncGenerator[D, None]:
    for document in documents:
        yield document


async def _but_starts(messages: AsyncGenerator[MessageDocument, None]) -> AsyncGenerator[MessageDocument, None]:
    async with aclosing(messages):
        async for message in messages:
            if message["kind"] != _RECEIVER_START:
                yield message


async def _of_instance(
    number: int, lines: range, at: int, collection: Collection, documents: _Documents
) -> AsyncGenerator[_Row, None]:
    """Those of some lines of one instance, out of the documents of all instances at the same times."""
    async with aclosing(documents):
        async for document in documents:
            line = cast("GapDocument", document)["line"] if collection == "gaps" else key_line(document["_id"])
            if key_collector(document["_id"]) == number and line in lines:
                yield _Row(line, collection != "gaps", at, collection, document)


async def _merged(streams: Sequence[AsyncGenerator[_Row, None]]) -> AsyncGenerator[_Row, None]:
    """Merges streams into one, in the order of lines."""
    async with AsyncExitStack() as closing:
        for stream in streams:
            await closing.enter_async_context(aclosing(stream))
        heap = [row for stream in streams if (row := await anext(stream, None))]
        heapq.heapify(heap)
        while heap:
            row = heap[0]
            yield row
            if following := await anext(streams[row.at], None):
                heapq.heapreplace(heap, following)
            else:
                heapq.heappop(heap)
