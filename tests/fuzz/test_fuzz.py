"""Hostile input over decode, and over the whole path: never a crash, never a hang, nothing lost, memory bounded.

`make fuzz` makes this a million lines; FUZZ_LINES and FUZZ_SEED in the environment say otherwise.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import bson
import pytest

from collector.archive.archiver import Archiver
from collector.archive.session_tracker import SessionTracker
from collector.bgp.decode import BadMessageError, decode_message
from collector.sources.exabgp.decode import MAX_LINE_BYTES, decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from schemas.documents import make_reject, to_document
from schemas.stored import LineDocument
from tests.fuzz.messages import hostile
from tests.fuzz.mutate import Mutator, giants, monsters

LINES = int(os.environ.get("FUZZ_LINES") or 1000)
SEED = int(os.environ.get("FUZZ_SEED") or random.randrange(2**32))
SECONDS_A_LINE = 60.0
MIB_OF_A_MILLION = 100
"""What the process may grow by over any number of lines of usual size."""
MIB_OF_A_MONSTER = 1024
"""What one line may take while it is looked at, whatever it is."""
LARGEST_DOCUMENT = 16 * 2**20


@pytest.fixture(autouse=True)
def seed(capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    """Whatever happens, the seed is printed."""
    yield SEED
    with capsys.disabled():
        print(f" SEED={SEED} FUZZ_LINES={LINES}", end="", flush=True)


def hardest(giant: int = 64 * 2**20) -> Iterator[tuple[str, bytes]]:
    """Lines of 64 MB, and the longest that are looked at; of what is much work, `make test` has time for 1 MB."""
    yield from giants(giant)
    yield from giants(MAX_LINE_BYTES - 1000)
    yield from monsters(MAX_LINE_BYTES - 1000 if LINES >= 100_000 else 2**20)


class Peak:
    """The highest resident size since this was made, above that at the time; MiB."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to VmRSS (proc(5))
        self._start = self._value("VmRSS")

    @property
    def grown(self) -> int:
        return self._value("VmHWM") - self._start

    @staticmethod
    def _value(name: str) -> int:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(fields[name].split()[0]) // 1024


class Checker:
    """Does with lines what the archiver does, short of a store."""

    def __init__(self) -> None:
        self.stored = self.rejected = self.slowest = 0.0
        self._tracker = SessionTracker(EXABGP, "fuzz")

    def check(self, number: int, raw: bytes) -> None:
        if number % 10_000 == 0:  # it remembers each peer, of which no collector has as many as a fuzzer
            self._tracker = SessionTracker(EXABGP, "fuzz")
        began = time.perf_counter()
        try:
            self._check(number, raw)
        except Exception as error:
            pytest.fail(f"SEED={SEED} line {number}: {type(error).__name__}: {str(error)[:300]}: {raw[:2000]!r}")
        took = time.perf_counter() - began
        self.slowest = max(self.slowest, took)
        assert took < SECONDS_A_LINE, f"SEED={SEED} line {number}: {took} s: {raw[:300]!r}"

    def _check(self, number: int, raw: bytes) -> None:
        message = decode(raw)
        document: LineDocument
        if isinstance(message, Rejection):
            self.rejected += 1
            assert message.reason
            assert len(message.reason) < 1000
            document = make_reject(self._tracker.reject(number), number, raw, message.reason)
        else:
            self.stored += 1
            document = to_document(message, self._tracker.follow(number, message))
        size = len(bson.encode(document))
        # What else is larger becomes a reject when the store refuses it: no reject may be.
        assert size < LARGEST_DOCUMENT or not isinstance(message, Rejection)
        for session in self._tracker.take_changed():
            assert len(bson.encode(session.to_document())) < LARGEST_DOCUMENT


@pytest.mark.timeout(0)
def test_lines_are_documents_or_rejects(capsys: pytest.CaptureFixture[str]) -> None:
    mutator, checker = Mutator(SEED), Checker()
    for number, raw in enumerate(mutator.lines(1000)):  # warm caches are no leak
        checker.check(number, raw)
    peak, began = Peak(), time.perf_counter()
    for number, raw in enumerate(mutator.lines(LINES), 1000):
        checker.check(number, raw)
    took = time.perf_counter() - began
    assert checker.stored + checker.rejected == LINES + 1000
    assert 0.1 < checker.stored / (LINES + 1000) < 0.9, "a fuzzer that only gets in, or never does, tests nothing"
    with capsys.disabled():
        print(
            f"\n{LINES} lines in {took:.0f} s: {checker.stored:.0f} stored, {checker.rejected:.0f} rejected,"
            f" slowest {checker.slowest * 1000:.0f} ms, {peak.grown} MiB more",
            end="",
        )
    assert peak.grown < MIB_OF_A_MILLION


def test_monsters_are_looked_at_within_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    worst = ("", 0)
    slowest = ("", 0.0)
    for number, (name, raw) in enumerate(hardest()):
        assert b"\n" not in raw
        peak, checker = Peak(), Checker()
        checker.check(number, raw)
        worst = max(worst, (name, peak.grown), key=lambda one: one[1])
        slowest = max(slowest, (name, checker.slowest), key=lambda one: one[1])
        assert peak.grown < MIB_OF_A_MONSTER, name
    with capsys.disabled():
        print(f"\nworst: {worst[0]} {worst[1]} MiB; slowest: {slowest[0]} {slowest[1]:.2f} s", end="")


@pytest.mark.timeout(0)
async def test_the_whole_path_stores_or_rejects_every_line(
    embedded_uri: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the receiver's bytes to the store: read = stored + rejected = documents."""
    count = min(LINES // 4, 50_000)
    # The disk takes its time for many of 64 MB, and the test above has had them.
    giant = (64 if LINES >= 100_000 else 9) * 2**20
    lines = _every(count // 50, (raw for _name, raw in hardest(giant)), Mutator(SEED + 1).lines(count))
    spool = data_dir / "spool"
    peak, began = Peak(), time.perf_counter()
    async with Store.open(embedded_uri, database=f"fuzz_{os.getpid()}") as store:
        with SpoolReader(spool) as reader:
            archiver = Archiver(reader, store, source=EXABGP, collector="fuzz", batch_seconds=0.0)
            running = asyncio.create_task(archiver.run())
            sent = await asyncio.to_thread(_spool, spool, lines)
            archiver.stop()
            await running
            note = reader.note
        documents = {name: await store.count(name) for name in ("updates", "messages", "rejects")}
    assert note["stored"] + note["rejected"] == sent
    assert sum(documents.values()) == sent
    assert documents["rejects"] == note["rejected"]
    with capsys.disabled():
        took = time.perf_counter() - began
        print(f"\n{sent} lines through spool and store in {took:.0f} s: {documents}, {peak.grown} MiB more", end="")
    assert peak.grown < 2 * MIB_OF_A_MONSTER


def _every(distance: int, rare: Iterator[bytes], usual: Iterator[bytes]) -> Iterator[bytes]:
    """The usual lines with a rare one after every `distance` of them."""
    for number, line in enumerate(usual, 1):
        yield line
        if number % distance == 0:
            yield from (one for one in [next(rare, None)] if one is not None)


def _spool(spool: Path, lines: Iterable[bytes]) -> int:
    """Write lines as the receiver does, cut anywhere; how many."""
    sent = 0
    cuts = random.Random(SEED)
    with SpoolWriter(spool) as writer:
        for line in lines:
            sent += 1
            cut = cuts.randrange(len(line) + 1)
            writer.write(line[:cut])
            writer.write(line[cut:] + b"\n")
    return sent


def test_hostile_messages_are_documents_or_reasons() -> None:
    read = bad = 0
    slowest, peak = 0.0, Peak()
    for data, session in hostile(SEED, LINES):
        began = time.perf_counter()
        try:
            document = decode_message(data, session)
        except BadMessageError:
            bad += 1
        else:
            read += 1
            assert len(bson.encode(document)) < LARGEST_DOCUMENT
        slowest = max(slowest, time.perf_counter() - began)
    print(f"\n{read} messages read, {bad} not; slowest {slowest * 1000:.0f} ms, {peak.grown} MiB more")
    assert read
    assert bad
    assert slowest < SECONDS_A_LINE
