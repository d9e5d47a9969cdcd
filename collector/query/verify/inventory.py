"""What the database has of one spool: lines, counters and counts, without the documents."""

from __future__ import annotations

import ipaddress
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bson import ObjectId

from collector.query.verify.bitmap import Numbers
from collector.sources.source import TORN, Source
from collector.store.writes import REFUSALS, Document, Writable
from schemas.keys import collector_number, instance_name, key_collector, key_line
from schemas.message import Counted

_STEP = 32
"""One time is kept for this many lines."""


class Owner(NamedTuple):
    """The owner of a document: a collector, and one of its spools, which the key identifies."""

    collector: str
    number: int

    @classmethod
    def of(cls, document: Writable) -> Owner:
        """The owner of a document of any collection."""
        return cls(document["collector"], key_collector(document["_id"]))

    @classmethod
    def named(cls, collector: str, instance: str) -> Owner:
        """An instance of a collector with this name."""
        return cls(collector, collector_number(instance_name(collector, instance)))


class CountedStream(NamedTuple):
    """The lines that ExaBGP counts together: those of one neighbour during one ExaBGP process."""

    epoch: int
    name: str
    """The peer's address; or a range, whose peers share a counter."""


class Begin(NamedTuple):
    """The first line of another ExaBGP process."""

    line: int
    second: int


@dataclass
class Tally:
    """What documents say about a session."""

    updates: int = 0
    keepalives: int = 0


class Times:
    """Approximate times at which lines were written."""

    def __init__(self) -> None:
        self._oldest = array("I")

    def see(self, line: int, second: int) -> None:
        """Record a line's time; 0, for lines without a time, is ignored."""
        at = line // _STEP
        if at >= len(self._oldest):
            self._oldest.extend([0] * (at + 1 - len(self._oldest)))
        if second and (not self._oldest[at] or second < self._oldest[at]):
            self._oldest[at] = second

    def settle(self) -> None:
        """Give lines without a time that of the lines before them, which are not newer."""
        last = 0
        for at, second in enumerate(self._oldest):
            self._oldest[at] = last = second or last

    def split(self, lines: range, limit: int) -> Iterator[tuple[range, bool]]:
        """Parts of a range, each with whether it may be older than `limit`, in unix seconds."""
        newest = self._oldest[-1] if self._oldest else 0
        for at in range(lines.start // _STEP, -(-lines.stop // _STEP)):
            part = range(max(lines.start, at * _STEP), min(lines.stop, (at + 1) * _STEP))
            yield part, (self._oldest[at] if at < len(self._oldest) else newest) < limit


@dataclass
class Inventory:
    """What the database has of one spool.

    Args:
        source: where the lines come from.
        owners: whose lines: the spool under the collector's current and earlier names.
        below: only lines below this one count.
        begins: the first lines of each ExaBGP process, in order.
        ranges: the peer ranges, whose peers share a counter.
    """

    source: Source
    owners: Set[Owner]
    below: int
    begins: Sequence[Begin] = ()
    ranges: Iterable[str] = ()
    lines: Numbers = field(default_factory=Numbers)
    doubled: Numbers = field(default_factory=Numbers)
    times: Times = field(default_factory=Times)
    documents: int = 0
    rejects: int = 0
    highest: int = -1
    """The highest of all lines, including those that do not count."""
    tallies: dict[ObjectId, Tally] = field(default_factory=dict)
    counts: dict[tuple[CountedStream, int | None], list[Numbers]] = field(default_factory=dict)
    """ExaBGP's counts, by stream. A neighbour that was reloaded is counted from 1 again: counts seen twice go into a
    second set, and so on."""
    opens: Counter[CountedStream] = field(default_factory=Counter)
    """OPENs: each is followed by a KEEPALIVE, before the session, that no session counts."""
    refused: Counter[str] = field(default_factory=Counter)
    """Lines that the store did not accept, by their peer's address: sessions count them."""

    def __post_init__(self) -> None:
        self._starts = [begin.line for begin in self.begins]
        self._networks = [ipaddress.ip_network(one) for one in self.ranges]
        self._names: dict[str, str] = {}

    def stream(self, line: int, address: str) -> CountedStream:
        """The stream that a peer's line belongs to."""
        return CountedStream(bisect_right(self._starts, line), self._name(address))

    def see(self, collection: str, document: Document) -> None:
        """Count a document if it belongs to this spool and to a line that counts."""
        if Owner.of(document) not in self.owners:
            return
        line = key_line(document["_id"])
        self.highest = max(self.highest, line)
        if line >= self.below:
            return
        if not self.lines.add(line):
            self.doubled.add(line)
            return
        self.documents += 1
        self.times.see(line, int.from_bytes(document["_id"].binary[:4]))
        if collection == "rejects":
            self._reject(line, document)
        elif "peer" in document:
            address, source = document["peer"]["address"], document["source"]
            self._count(line, address, source.get("pid"), source.get("counter"))
            self._tally(line, address, collection, document)

    def _reject(self, line: int, document: Document) -> None:
        self.rejects += 1
        raw = document["raw"].encode() if isinstance(document["raw"], str) else document["raw"]
        counted: Counted | None = (
            self.source.counted(raw, document["size"]) if document["reason"] != TORN.reason else None
        )
        if counted:
            self._count(line, counted.peer.address, counted.pid, counted.counter)
            self.refused[counted.peer.address] += document["reason"].startswith(REFUSALS)

    def _count(self, line: int, address: str, pid: int | None, count: int | None) -> None:
        if count is not None:
            stream = self.stream(line, address)
            sets = self.counts.setdefault((stream, pid), [])
            if not any(numbers.add(count) for numbers in sets):
                sets.append(Numbers())
                sets[-1].add(count)

    def _tally(self, line: int, address: str, collection: str, document: Document) -> None:
        kind = document.get("kind")
        if kind == "open":
            self.opens[self.stream(line, address)] += 1
        if "session" in document:
            tally = self.tallies.setdefault(document["session"], Tally())
            tally.updates += collection == "updates"
            tally.keepalives += kind == "keepalive"

    def _name(self, address: str) -> str:
        name = self._names.get(address)
        if name is None:
            name = address
            if "/" not in address:
                parsed = ipaddress.ip_address(address)
                name = next((str(network) for network in self._networks if parsed in network), address)
            self._names[address] = name
        return name


def find_begins(starts: Iterable[tuple[int, int, Mapping[str, Any]]]) -> list[Begin]:
    """The first lines of each ExaBGP process, from the documents of receivers' starts.

    Args:
        starts: the line, the second and the document of each.
    """
    begins: list[Begin] = []
    pid = incarnation = None
    for line, second, document in sorted(starts, key=lambda one: one[:2]):
        named = document["source"].get("pid"), document.get("incarnation")
        if not named[0]:  # ExaBGP had ended before its receiver could read its pid
            continue
        if named[0] != pid or (incarnation is not None and named[1] != incarnation):
            begins.append(Begin(line, second))
        pid, incarnation = named
    return begins
