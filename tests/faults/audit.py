"""The archive against the lines of the spool: each is one document, none is lost, none is there twice, nothing else is.

The expected result is derived here from the lines alone, and not by the code that archived them: only `decode` and
the form of documents are the product's.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import bson
from bson import ObjectId

from collector.sources.exabgp.decode import counted, decode
from collector.sources.source import TORN, Rejection
from collector.spool.segment import segments
from collector.store.mongo import Store
from schemas.documents import Place, collection_of, to_document
from schemas.keys import collector_number, key_collector, key_line, make_key
from schemas.message import Answer, Counted, Keepalive, Message, ReceiverEnd, ReceiverStart, Shutdown, StateChange
from schemas.stored import SessionDocument

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


class Missing(NamedTuple):
    """Lines of a peer that are missing right before the line of this time; None: nobody can know how many."""

    peer: str
    before: datetime
    lines: int | None


@dataclass
class Report:
    """What an audit found; `faults` is empty when the promise was kept."""

    lines: int = 0
    torn: int = 0
    documents: int = 0
    rejects: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    gap_lines: int = 0
    sessions: int = 0
    faults: list[str] = field(default_factory=list)

    def figures(self) -> str:
        return (
            f"{self.lines} lines ({self.torn} torn), {self.lost} lost, {self.doubled} doubled,"
            f" {self.sessions} sessions, {self.gaps} gaps of {self.gap_lines} lines"
        )

    def fault(self, what: str) -> None:
        if len(self.faults) < 50:
            self.faults.append(what)


def spooled(kept: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Every line of the kept segments: its number, its bytes, and whether it is torn."""
    number = 0
    for segment in segments(kept):
        assert segment.first == number, f"the harness has no segment for line {number}, only {segment.path.name}"
        *lines, rest = segment.path.read_bytes().split(b"\n")
        for line in lines:
            yield number, line, False
            number += 1
        if rest:
            yield number, rest, True
            number += 1


def patient(uri: str) -> str:
    """The URI with time-outs for queries that keep a small server busy for minutes."""
    return f"{uri}&connectTimeoutMS=600000&socketTimeoutMS=600000"


async def audit(kept: Path, store: Store, collector: str) -> Report:
    """Compare ExaBGP's lines with the documents that have their keys; there must be no others."""
    report = Report()
    number = collector_number(collector)
    archived = await _archived(store, number, report)
    found = _Lines(report, archived, collector)
    for line, raw, torn in spooled(kept):
        report.torn += torn
        found.see(line, raw, torn=torn)
    report.lines = found.count
    for line, document in archived.items():
        report.fault(f"a document of line {line}, which the spool never had: {document}")
    await _check_order(store, report)
    await _check_sessions(store, number, report, found)
    return report


class _Archived(NamedTuple):
    collection: str
    digest: bytes


async def _find(store: Store, collection: str, number: int) -> AsyncIterator[Any]:
    """Documents of the collector, or of the one of its spools that has this number in its keys."""
    async for document in store.find(collection, {}):
        if key_collector(document["_id"]) == number:
            yield document


async def _archived(store: Store, number: int, report: Report) -> dict[int, _Archived]:
    archived: dict[int, _Archived] = {}
    for collection in ("updates", "messages", "rejects"):
        async for document in _find(store, collection, number):
            report.documents += 1
            report.rejects += collection == "rejects"
            document.pop("session", None)
            line = key_line(document["_id"])
            if line in archived:
                report.doubled += 1
                report.fault(f"line {line} stands in {archived[line].collection} and in {collection}")
            archived[line] = _Archived(collection, _digest(collection, document))
    return archived


def _digest(collection: str, document: Mapping[str, Any]) -> bytes:
    if collection == "rejects":
        document = {key: document[key] for key in ("_id", "collector", "ts", "line", "size")}
    return hashlib.blake2b(bson.encode(document), digest_size=12).digest()


class _Lines:
    """The spool's lines one after the other, and what follows from them."""

    def __init__(self, report: Report, archived: dict[int, _Archived], collector: str) -> None:
        self.count = 0
        self.ups: set[ObjectId] = set()
        self.missing: list[Missing] = []
        self._report, self._archived, self._collector = report, archived, collector
        self._number = collector_number(collector)
        self._last = EPOCH
        self._counters: dict[tuple[str, int | None], int] = {}
        self._peers: set[str] = set()
        """Who has spoken by the ExaBGP of now."""
        self._drained = True
        """Whether the last receiver said that it had read everything."""
        self._unnamed = False
        """Whether the receiver of now began when its ExaBGP had gone, and has said nothing yet."""
        self._silent: set[str] = set()
        """Who has not spoken since a receiver died, and may have before its successor began."""
        self._pid: int | None = None

    def see(self, number: int, raw: bytes, *, torn: bool) -> None:
        self.count += 1
        message = TORN if torn else decode(raw)
        if isinstance(message, Rejection):
            if not torn and (said := counted(raw, len(raw))):
                self._count(number, said)
        elif not isinstance(message, Answer):
            self._last = message.ts
            self._follow(number, message)
        place = Place(make_key(self._last, self._number, number), self._last, self._collector, None)
        if isinstance(message, Rejection):
            document: dict[str, Any] = {
                "_id": place.key,
                "collector": self._collector,
                "ts": place.ts,
                "line": number,
                "size": len(raw),
            }
            expected = _Archived("rejects", _digest("rejects", document))
        else:
            collection = collection_of(message)
            expected = _Archived(collection, _digest(collection, to_document(message, place)))
        there = self._archived.pop(number, None)
        if there is None:
            self._report.lost += 1
            self._report.fault(f"line {number} is lost: {raw[:200]!r}")
        elif there != expected:
            self._report.fault(f"line {number} became something else, in {there.collection}: {raw[:200]!r}")

    def _follow(self, number: int, message: Message) -> None:
        if isinstance(message, ReceiverEnd | Shutdown):
            self._drained, self._unnamed = True, False
        elif isinstance(message, ReceiverStart):
            self._start(message)
        peer = getattr(message, "peer", None)
        if peer is None or isinstance(message, Answer):
            return
        if isinstance(message, StateChange) and message.state == "up":
            self.ups.add(make_key(message.ts, self._number, number))
        self._count(number, Counted(peer, message.source.pid, message.source.counter))

    def _start(self, message: ReceiverStart) -> None:
        self._drained = self._drained and not self._unnamed
        pid = message.source.pid
        if pid and pid != self._pid:
            self._another(pid)
        elif not self._drained:
            self._silent = set(self._peers)
        self._drained, self._unnamed = self._drained and not pid, not pid

    def _another(self, pid: int | None) -> None:
        """Another ExaBGP begins."""
        if self._pid is not None:
            unknown = self._silent if self._drained else self._peers
            self.missing += [Missing(peer, self._last, None) for peer in unknown]
        self._peers, self._silent, self._pid = set(), set(), pid

    def _count(self, number: int, said: Counted) -> None:
        if said.counter is None:
            return
        if said.pid != self._pid:
            self._another(said.pid)
        peer = said.peer.address
        before = self._counters.get((peer, said.pid), 0)
        if said.counter - before > 1:
            self.missing.append(Missing(peer, self._last, said.counter - before - 1))
        elif said.counter <= before:
            self._report.fault(f"line {number}: ExaBGP counts {said.counter} after {before}")
        self._counters[peer, said.pid] = said.counter
        self._peers.add(peer)
        self._silent.discard(peer)
        self._drained = self._unnamed = False


async def _check_order(store: Store, report: Report) -> None:
    """Reading in the order of the keys gives each peer's lines in ExaBGP's order."""
    for collection in ("updates", "messages"):
        last: dict[tuple[str, int], int] = {}
        async for document in store.find(collection, {}, sort=[("_id", 1)], fields=["peer.address", "source"]):
            if "peer" not in document or (count := document["source"].get("counter")) is None:
                continue
            of = document["peer"]["address"], document["source"]["pid"]
            if last.get(of, 0) >= count:
                report.fault(f"{collection}: counter {count} of {of} stands behind {last[of]}")
            last[of] = count


async def _check_sessions(store: Store, number: int, report: Report, lines: _Lines) -> None:
    sessions = {one["_id"]: one async for one in _find(store, "sessions", number)}
    report.sessions = len(sessions)
    if lines.ups != {key for key, one in sessions.items() if one["began"] == "up"}:
        report.fault("the sessions are not those that the lines say came up")
    await _check_tallies(store, number, report, sessions)
    by_peer: dict[str, list[SessionDocument]] = defaultdict(list)
    for one in sessions.values():
        by_peer[one["peer"]["address"]].append(one)
        if "until" not in one:
            report.fault(f"session {one['_id']} of {one['peer']['address']} is up, though all were ended")
    for peer, all_of_it in by_peer.items():
        all_of_it.sort(key=lambda one: one["_id"])
        for before, after in pairwise(all_of_it):
            if "until" not in before or before["until"] > after["since"]:
                report.fault(f"{peer} had two sessions at once: {before['_id']} and {after['_id']}")
    await _check_gaps(store, number, report, lines)


async def _check_tallies(store: Store, number: int, report: Report, sessions: dict[ObjectId, SessionDocument]) -> None:
    updates: Counter[ObjectId] = Counter()
    keepalives: Counter[ObjectId] = Counter()
    for collection in ("updates", "messages"):
        async for document in _find(store, collection, number):
            if (key := document.get("session")) is None:
                if collection == "updates":
                    report.fault(f"update {document['_id']} has no session")
                continue
            session = sessions.get(key)
            if session is None:
                report.fault(f"{document['_id']} names session {key}, which is not there")
                continue
            if session["peer"] != document["peer"]:
                report.fault(f"{document['_id']} names session {key}, which is another peer's")
            if not session["since"] <= document["ts"] <= session.get("until", document["ts"]):
                report.fault(f"{document['_id']} of {document['ts']} lies outside of its session {key}")
            updates[key] += collection == "updates"
            keepalives[key] += document.get("kind") == Keepalive.model_fields["kind"].default
    for key, session in sessions.items():
        if session["updates"] != updates[key]:
            report.fault(f"session {key} counts {session['updates']} updates, there are {updates[key]}")
        if session["keepalives"] != keepalives[key]:
            report.fault(f"session {key} counts {session['keepalives']} keepalives, there are {keepalives[key]}")


async def _check_gaps(store: Store, number: int, report: Report, lines: _Lines) -> None:
    """The stored gaps are exactly the numbers that ExaBGP counted and no line has."""
    told = Counter(
        [Missing(gap["peer"]["address"], gap["ts"], gap.get("lines")) async for gap in _find(store, "gaps", number)]
    )
    missing = Counter(lines.missing)
    report.gaps, report.gap_lines = len(lines.missing), sum(one.lines or 0 for one in lines.missing)
    for one in missing - told:
        report.fault(f"a gap that nothing tells of: {one}")
    for one in told - missing:
        report.fault(f"a gap that is none: {one}")
