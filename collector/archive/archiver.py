"""The archiver: turns spooled lines into durable documents, each exactly once.

It has three stages: one reads and decodes, one writes several batches at once, and one completes the batches in order.
Once a second the last stage stores the state of the sessions and then acknowledges the lines: after a crash they are
read again from there, into the same documents under the same keys.

While the store is unavailable, the writers retry, the reader waits and the spool grows; nothing else is affected. When
the store is slow, batches become larger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar, cast

from collector.archive.batches import BatchWriter, Checkpoint, WriteBatch, storable_document
from collector.archive.healer import Healer
from collector.archive.outage import Outage, Tell
from collector.archive.peer_log import PeerLog
from collector.archive.session_documents import SessionDocuments
from collector.archive.session_tracker import SessionTracker
from collector.errors import SpoolError, StoreError, one_error
from collector.retry import pauses, sleep
from collector.sources.source import TORN, Ask, Rejection, Source
from collector.spool.framing import unframe
from collector.spool.segment import SpooledLine
from collector.store.collections import VIEWS_SINCE
from collector.store.meta import InstancePosition
from collector.store.mongo import Store
from collector.store.traits import SECANTUSDB, Traits
from schemas.documents import Place, collection_of, make_reject, to_document
from schemas.keys import instance_name
from schemas.message import Message
from schemas.notes import ArchiverNote, SourceNote
from schemas.stored import RejectDocument, SessionDocument

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
AT_ONCE = 32
"""Lines that go through each step together: repeating one step takes three quarters of the time of alternating between
steps, docs/decisions/0006-speed.md."""
CHECKPOINT_SECONDS = 1.0
"""How often sessions are written, and lines acknowledged; each time costs a write to the store and to disk."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
T = TypeVar("T")


async def check_schema(store: Store, source: Source) -> None:
    """Refuse a database whose indexes do not distinguish routers, if the source has routers.

    Raises:
        StoreError: it is such a database.
    """
    if source.has_routers:
        await store.meta.require(VIEWS_SINCE, "what routers tell of their peers")


class Saw(Protocol):
    """Called with sessions when they are stored."""

    def __call__(self, sessions: Sequence[SessionDocument], *, full: bool) -> None:
        """Take note of sessions that have changed, and of whether more lines may be waiting."""


class Lines(Protocol):
    """What the archiver needs of the spool's reader."""

    @property
    def note(self) -> SourceNote:
        """The `ArchiverNote` of the last acknowledgement; empty before the first."""

    @property
    def segment(self) -> int:
        """The number of the first line of the segment that was read last."""

    def read(self, max_lines: int, max_bytes: int) -> list[SpooledLine]:
        """Complete lines; [] if there are none."""

    def acknowledge(self, next_line: int, note: ArchiverNote) -> None:
        """Acknowledge all lines before `next_line`: they are stored durably, and never read again."""


class _StoppedWhileAwayError(Exception):
    """Ends both stages if the store is unavailable and the archiver is told to stop."""


class Archiver:
    """Moves the lines of one spool into one store.

    Args:
        lines: the spool's reader.
        store: an open store; its collections are created when it first answers.
        source: where the spool's lines come from; decodes them.
        collector: the name in every document.
        ranges: the configured peer ranges.
        instance: which of the collector's spools this is; part of each key.
        spool: the spool's identity: the store accepts a spool under one collector name only.
        batch_lines: the maximum number of lines in one batch; None: as many as suit the store.
        traits: the limits of the store; None: those that it reports itself.
        batch_bytes: the maximum number of bytes of lines in one batch, which bounds memory.
        batch_seconds: the maximum time that lines wait before they are written.
        ask: requests a peer's routes again; None where that is impossible.
        tell: reports whether the store is unavailable; see `Outage`.
        saw: called with sessions when they are stored; see `Projector`.
    """

    def __init__(
        self,
        lines: Lines,
        store: Store,
        *,
        source: Source,
        collector: str,
        ranges: Sequence[str] = (),
        instance: str = "",
        spool: str | None = None,
        batch_lines: int | None = None,
        traits: Traits | None = None,
        batch_bytes: int = 4 * 2**20,
        batch_seconds: float = 0.2,
        ask: Ask | None = None,
        tell: Tell = lambda _state: None,
        saw: Saw = lambda _sessions, *, full: None,  # noqa: ARG005  # a name of the protocol
    ) -> None:
        self._lines = lines
        self._store = store
        self._claims = instance_name(collector, instance)
        self._spool = spool
        self._batch_lines = batch_lines
        self._traits = traits
        self._batch_bytes = batch_bytes
        self._batch_seconds = batch_seconds
        self._name: ArchiverNote = {"collector": collector, "ranges": list(ranges)}
        self._source = source
        noted = cast("ArchiverNote", lines.note)
        self._tracker = SessionTracker(source, collector, ranges, noted.get("tracker"), instance=instance)
        self._decoder = source.decoder(ranges, noted.get("decoder", {}))
        self._stored = noted.get("stored", 0)
        self._rejected = noted.get("rejected", 0)
        self._refused = noted.get("refused", 0)
        self._troubles = PeerLog(source)
        self._healer = Healer(ask)
        self._saw = saw
        self._sessions = SessionDocuments(store)
        self._writer = BatchWriter(store, self._reject)
        self._outage = Outage(tell)
        self._stopping = asyncio.Event()
        self._disk = asyncio.Lock()

    def stop(self) -> None:
        """Store what the spool holds now, then let `run` return; if the store is unavailable, return at once."""
        self._stopping.set()

    async def run(self) -> None:
        """Archive until `stop` is called, whatever the store does meanwhile.

        Raises:
            SpoolError: the spool cannot be read or acknowledged.
        """
        batches: asyncio.Queue[WriteBatch | None] = asyncio.Queue(maxsize=1)
        with one_error():
            try:
                async with asyncio.TaskGroup() as stages:
                    stages.create_task(self._read(batches), name="read and decode")
                    stages.create_task(self._write(batches, stages), name="write")
            except* _StoppedWhileAwayError:
                log.warning("stopped while the store was unavailable; the spool keeps what is not stored")

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Run disk operations in a thread; one at a time, as the spool's reader requires."""
        async with self._disk:
            return await asyncio.to_thread(work)

    # --- read and decode ----------------------------------------------------------------------------------------

    async def _read(self, batches: asyncio.Queue[WriteBatch | None]) -> None:
        next_line: int | None = None
        binary = self._source.binary
        noted, segment = float("-inf"), None
        while True:
            stopping = self._stopping.is_set()
            most = self._most_lines
            lines = await self._on_disk(partial(self._lines.read, most, self._batch_bytes))
            if lines and next_line is not None and segment != self._lines.segment:
                # The state at the beginning of a segment is kept with the segment.
                await batches.put(WriteBatch(checkpoint=self._checkpoint(next_line)))
                next_line = None
            segment = self._lines.segment
            batch = self._decode([line._replace(raw=unframe(line.raw)) for line in lines] if binary else lines)
            batch.full = len(lines) >= most
            last = stopping and not lines
            next_line = lines[-1].number + 1 if lines else next_line
            if next_line is not None and (last or time.monotonic() - noted >= CHECKPOINT_SECONDS):
                batch.checkpoint = self._checkpoint(next_line)
                next_line, noted = None, time.monotonic()
            if lines or batch.checkpoint:
                await batches.put(batch)
            if last:
                await batches.put(None)
                return
            # A batch that is not full waits for more lines, so that a quiet feed causes few writes.
            if not batch.full:
                await sleep(self._batch_seconds if lines else POLL_SECONDS, unless=self._stopping)

    @property
    def _most_lines(self) -> int:
        return self._batch_lines or (self._traits or SECANTUSDB).batch_lines  # until the store has reported its traits

    def _decode(self, lines: Sequence[SpooledLine]) -> WriteBatch:
        batch = WriteBatch(lines=len(lines))
        for at in range(0, len(lines), AT_ONCE):
            self._add(batch, lines[at : at + AT_ONCE])
        batch.gaps = self._tracker.take_gaps()
        return batch

    def _add(self, batch: WriteBatch, lines: Sequence[SpooledLine]) -> None:
        """Process some lines, one step after the other, each step for all lines."""
        messages = [TORN if line.torn else self._decoder.decode(line.raw) for line in lines]
        places = [self._follow(line, message) for line, message in zip(lines, messages, strict=True)]
        for line, message, place in zip(lines, messages, places, strict=True):
            if isinstance(message, Rejection):
                batch.add("rejects", self._reject(line, place, message.reason), line, place)
            else:
                batch.add(collection_of(message), to_document(message, place), line, place)

    def _follow(self, line: SpooledLine, message: Message | Rejection) -> Place:
        if isinstance(message, Rejection):
            counted = None if line.torn else self._source.counted(line.raw, len(line.raw))
            return self._tracker.reject(line.number, counted, message.reason)
        place = self._tracker.follow(line.number, message)
        self._troubles.follow(message, in_session=place.session is not None)
        return place

    def _reject(self, line: SpooledLine, place: Place, reason: str) -> RejectDocument:
        return make_reject(place, line.number, line.raw, reason, binary=self._source.binary)

    def _checkpoint(self, next_line: int) -> Checkpoint:
        sessions = [storable_document(session) for session in self._tracker.take_changed()]
        return Checkpoint(next_line, self._tracker.time, sessions, self._tracker.note(), self._decoder.note())

    # --- write and acknowledge ----------------------------------------------------------------------------------

    async def _write(self, batches: asyncio.Queue[WriteBatch | None], stages: asyncio.TaskGroup) -> None:
        await self._persist(self._prepare)
        if self._traits is None:
            self._traits = await self._persist(self._store.traits)
        free = asyncio.Semaphore(self._traits.batches_in_flight)
        written: asyncio.Queue[tuple[WriteBatch, asyncio.Task[int]] | None] = asyncio.Queue()
        stages.create_task(self._take(written, free), name="acknowledge")
        while (batch := await batches.get()) is not None:
            await free.acquire()
            writing = stages.create_task(self._persist(partial(self._writer.write, batch)), name="a batch")
            written.put_nowait((batch, writing))
        written.put_nowait(None)

    async def _take(
        self, written: asyncio.Queue[tuple[WriteBatch, asyncio.Task[int]] | None], free: asyncio.Semaphore
    ) -> None:
        """Complete batches in order, whichever becomes durable first."""
        while (one := await written.get()) is not None:
            batch, writing = one
            rejects = await writing
            self._stored += batch.lines - rejects
            self._rejected += rejects
            self._refused += len(batch.refused)
            if batch.checkpoint:
                await self._acknowledge(batch.checkpoint)
            sessions = batch.checkpoint.sessions if batch.checkpoint else ()
            self._saw(sessions, full=batch.full)
            self._healer.want((*batch.gaps, *batch.refused))
            self._healer.act(self._tracker.capabilities)
            free.release()

    async def _acknowledge(self, point: Checkpoint) -> None:
        """Write sessions first: acknowledged lines are never read again, so sessions must include them."""
        await self._persist(partial(self._store_sessions, point.sessions))
        if self._spool is not None:
            stored = InstancePosition(self._claims, self._spool, point.next_line - 1, point.ts)
            await self._persist(partial(self._store.meta.note_stored, stored))
        sums: ArchiverNote = {"stored": self._stored, "rejected": self._rejected, "refused": self._refused}
        note: ArchiverNote = {**self._name, **sums, "tracker": point.tracker, "decoder": point.decoder}
        await self._persist(partial(self._on_disk, partial(self._lines.acknowledge, point.next_line, note)))

    async def _prepare(self) -> None:
        await self._store.prepare()
        await check_schema(self._store, self._source)
        if self._spool is not None:
            await self._store.meta.claim(self._claims, self._spool)

    async def _store_sessions(self, sessions: Sequence[SessionDocument]) -> None:
        await self._sessions.write(sessions)

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry until the store, or the disk for an acknowledgement, succeeds.

        Raises:
            _StoppedWhileAwayError: told to stop while it cannot.
        """
        waits = pauses(FIRST_PAUSE, LONGEST_PAUSE, jitter=0.2)
        while True:
            try:
                result = await attempt()
            except (StoreError, SpoolError) as error:
                if self._stopping.is_set():
                    raise _StoppedWhileAwayError from None
                self._outage.failed(error)
                await sleep(next(waits), unless=self._stopping)
            else:
                self._outage.over()
                return result
