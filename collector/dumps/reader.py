"""Reads RIB dumps from an MRT file, record by record; memory depends on the number of peers, not of routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import bson

from collector.bgp import mrt, mrt_tables
from collector.bgp.attributes import read_attributes
from collector.bgp.families import Family
from collector.bgp.mrt import Frame
from collector.bgp.mrt_header import TABLE_DUMP, TABLE_DUMP_V2, UnreadableError, describe_type, type_of
from collector.bgp.mrt_messages import MrtPeer
from collector.bgp.mrt_tables import OldRecord, TableRecord
from collector.bgp.routes import groups, next_hop, reach
from collector.rib import pages
from collector.rib.dumped import DumpedTable
from collector.rib.routes import RouteEntry, RouteKey, key_of, place
from collector.rib.runs import PageFile
from schemas.attributes import is_treated_as_withdrawn

_MOST_FACTS: Final = 50_000
"""Sets of attributes in memory: some 30 MB."""
_SEQUENCE: Final = 1 << 16
_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and a dump has tens of millions."""


@dataclass
class BadRecord:
    """A record that cannot be parsed, or only in part."""

    frame: Frame
    ts: datetime
    reason: str


@dataclass
class DumpedPeer:
    """A peer of a dump, and its table."""

    peer: MrtPeer
    table: DumpedTable
    unreadable: int = 0
    """Records that cannot be parsed, and contain, or may contain, routes of the peer."""


@dataclass
class Dump:
    """All tables of one time."""

    ts: datetime
    """The time in the header of its first record, for which its tables hold (RFC 6396 4.3.4 has other times)."""
    record: int
    """The number of that record."""
    peers: list[DumpedPeer] = field(default_factory=list)
    """The selected peers, each address once."""


@dataclass
class WantedTables:
    """Which tables are read.

    Args:
        at: tells whether those of a time are.
        peers: addresses; empty: all.
    """

    at: Callable[[datetime], bool]
    peers: frozenset[str]


class DumpReader:
    """Reads the dumps of one file.

    Args:
        path: the file.
        wanted: which of its tables.
        on_read: called with the number of bytes of the file itself read so far.
    """

    def __init__(self, path: Path, wanted: WantedTables, on_read: Callable[[int], None] = lambda _: None) -> None:
        self.records = 0
        """The number of records with routes, or peers."""
        self.left_out = 0
        """Records that the selection excludes."""
        self.others: Counter[str] = Counter()
        """Records without routes, by type."""
        self.fault: mrt.CutError | None = None
        self._file = mrt.MrtFile(path, on_read)
        self._wanted = wanted
        self._dump: Dump | None = None
        self._peers: list[DumpedPeer | None] = []
        """The peers by index; None if not selected."""
        self._addresses: dict[str, DumpedPeer | None] = {}
        self._places: dict[int, bytes] = {}
        """For TABLE_DUMP: the place of the last route of each table."""
        self._numbers: dict[MrtPeer, int] = {}
        self._last = b""
        self._in_order = True
        self._begun: datetime | None = None
        self._sequence = -1
        self._skips = self._is_lost = False
        self._facts: dict[bytes, bytes] = {}

    def read(self) -> Iterator[Dump | BadRecord]:
        """The dumps, each when it has been read completely, preceded by its records that cannot be parsed.

        Raises:
            ReplayError: the file cannot be read, or is no MRT file.
        """
        try:
            for frame in self._file.frames():
                kind = type_of(frame.raw)
                if kind not in (TABLE_DUMP, TABLE_DUMP_V2):
                    self.others[describe_type(kind)] += 1
                    continue
                try:
                    take = self._take_old if kind == TABLE_DUMP else self._take
                    yield from take(frame)
                except (UnreadableError, ValueError) as error:
                    self._mark_all()
                    yield self._bad(frame, str(error))
        except mrt.CutError as fault:
            self.fault = fault
            self._mark_all()
        yield from self._end()

    # --- records --------------------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> Iterator[Dump | BadRecord]:
        """A record of TABLE_DUMP_V2."""
        subtype = int.from_bytes(frame.raw[6:8])
        if subtype == mrt_tables.PEER_INDEX_TABLE:
            yield from self._end()
            self._skips, self._is_lost = False, True
            peers = mrt_tables.read_index(frame.raw)
            self._is_lost = False
            if self._begin(frame):
                self.records += 1
                for peer in peers:
                    self._add(peer)
            else:
                self.left_out += 1
        elif subtype == mrt_tables.GEO_PEER_TABLE:
            self.others["TABLE_DUMP_V2 GEO_PEER_TABLE"] += 1
        elif self._is_lost:
            self.others["TABLE_DUMP_V2 behind a PEER_INDEX_TABLE that cannot be read"] += 1
        elif self._skips:
            self.left_out += 1
        elif self._dump is None:
            raise UnreadableError("has routes of peers, and no PEER_INDEX_TABLE is before it")
        else:
            self.records += 1
            record = mrt_tables.read_rib(frame.raw)
            if reason := self._take_routes(record):
                yield self._bad(frame, reason)

    def _take_old(self, frame: Frame) -> Iterator[Dump | BadRecord]:
        """A record of TABLE_DUMP, of which a dump has one for each route of each peer, with nothing between dumps."""
        old = mrt_tables.read_old(frame.raw)
        if self._is_of_another(frame, old):
            yield from self._end()
            self._begin(frame)
        self._sequence = old.sequence
        if self._skips:
            self.left_out += 1
            return
        self.records += 1
        number = self._numbers.get(old.peer)
        if number is None:
            number = self._add(old.peer)
        if reason := self._take_one(number, old.record):
            yield self._bad(frame, reason)

    def _is_of_another(self, frame: Frame, old: OldRecord) -> bool:
        """Whether a record begins another dump: some writers give each record the time at which it was written."""
        follows = (old.sequence - self._sequence) % _SEQUENCE <= 1
        return self._begun is None or (_time(frame) != self._begun and not follows)

    def _bad(self, frame: Frame, reason: str) -> BadRecord:
        return BadRecord(frame, self._dump.ts if self._dump else _time(frame), f"the MRT record {reason}")

    # --- one dump -------------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame) -> bool:
        """Begin a dump; return whether it is selected."""
        ts = self._begun = _time(frame)
        self._skips = not self._wanted.at(ts)
        if self._skips:
            return False
        self._dump = Dump(ts, frame.record)
        self._pages = PageFile.on_disk()
        self._since = int(ts.timestamp())
        return True

    def _add(self, peer: MrtPeer) -> int:
        """Add a peer; returns its number."""
        assert self._dump is not None  # noqa: S101  # there is none without a dump
        found = self._addresses.get(peer.address)
        if found:
            self._in_order = False  # two index numbers share one table
            if found.peer != peer:
                other = f"AS {peer.asn} at {peer.address}, which is AS {found.peer.asn} in the same dump"
                self.others[f"TABLE_DUMP, naming {other},"] += 1
                found = None
        elif not self._wanted.peers or peer.address in self._wanted.peers:
            found = DumpedPeer(peer, DumpedTable(self._pages))
            self._dump.peers.append(found)
            self._addresses[peer.address] = found
        self._peers.append(found)
        self._numbers[peer] = len(self._peers) - 1
        return len(self._peers) - 1

    def _mark_all(self) -> None:
        for one in self._dump.peers if self._dump else ():
            one.unreadable += 1

    def _end(self) -> Iterator[Dump]:
        dump, self._dump = self._dump, None
        if dump:
            for one in dump.peers:
                one.table.pack(in_order=self._in_order)
            yield dump
        self._peers, self._numbers, self._addresses, self._places = [], {}, {}, {}
        self._last, self._in_order = b"", True

    # --- routes ---------------------------------------------------------------------------------------------------

    def _take_routes(self, record: TableRecord) -> str:
        """Add the entries of one NLRI; returns why some cannot be read."""
        plain, own = _route(record.family, record.nlri)
        entries, reason = record.entries, record.fault
        if reason:
            self._mark_all()
        if entries and entries[0][2] is not None:
            entries.sort(key=lambda entry: entry[2] or 0)
        if self._in_order:
            at = place(plain.nlri) if plain.is_prefix else plain.nlri.encode()
            once = len({(entry[0], entry[2]) for entry in entries}) == len(entries)
            self._in_order = once and plain.is_prefix and at > self._last
            self._last = at
        peers, known, now = self._peers, self._facts, self._since
        behind = own and bson.encode(own)
        for number, originated, path_id, attributes in entries:
            if number >= len(peers):
                reason = reason or f"names peer {number}, and the index has {len(peers)}"
                continue
            peer = peers[number]
            if peer is None:
                continue
            packed = behind + attributes if behind else attributes
            facts = known.get(packed)
            if facts is None:
                try:
                    facts = self._remember(packed, _facts(attributes, own, as4=True))
                except ValueError as error:
                    reason = reason or f"has a route of {peer.peer.address} {error}"
                    peer.unreadable += 1
                    continue
            key = plain if path_id is None else plain._replace(path_id=path_id)
            since = 1000 * (originated if 0 < originated <= now else now)
            buffered = peer.table.buffered
            buffered.append((key, _new(RouteEntry, (since, facts))))
            if len(buffered) >= pages.ROUTES:
                peer.table.pack(in_order=self._in_order)
        return reason

    def _take_one(self, number: int, record: TableRecord) -> str:
        """Add a route of TABLE_DUMP; returns why it cannot be read."""
        peer, ((_, originated, _, attributes),) = self._peers[number], record.entries
        if peer is None:
            return ""
        key, own = _route(record.family, record.nlri)
        facts = self._facts.get(attributes)
        if facts is None:
            try:
                facts = self._remember(attributes, _facts(attributes, own, as4=False))
            except ValueError as error:
                peer.unreadable += 1
                return f"has a route of {peer.peer.address} {error}"
        at = place(key.nlri)
        self._in_order &= at > self._places.get(number, b"")
        self._places[number] = at
        since = 1000 * (originated if 0 < originated <= self._since else self._since)
        peer.table.buffered.append((key, _new(RouteEntry, (since, facts))))
        if len(peer.table.buffered) >= pages.ROUTES:
            peer.table.pack(in_order=self._in_order)
        return ""

    def _remember(self, packed: bytes, facts: bytes) -> bytes:
        if len(self._facts) >= _MOST_FACTS:
            self._facts.clear()
        self._facts[packed] = facts
        return facts


def _time(frame: Frame) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(frame.raw[:4]), UTC)


def _route(family: Family, nlri: bytes) -> tuple[RouteKey, dict[str, Any]]:
    """The key of a route, without its path ID, and its fields that are not attributes."""
    (group,) = groups(family, nlri, "announce")
    if "objects" in group:
        (route,) = group["objects"]
        return key_of(group, route), {"object": route}
    own = {"labels": group["labels"]} if "labels" in group else {}
    return RouteKey(group["family"], group.get("rd"), None, group["nlri"][0]), own


def _facts(attributes: bytes, own: dict[str, Any], *, as4: bool) -> bytes:
    """Attributes and next hop of a route, in the form of stored tables.

    In place of MP_REACH_NLRI there should only be its next hop (RFC 6396 4.3.4); many writers include all of it.

    Raises:
        ValueError: they are malformed so that the route counts as withdrawn (RFC 7606 2).
    """
    read = read_attributes(attributes, as4=as4)
    if is_treated_as_withdrawn(read.document.get("error")):
        raise ValueError(f"with malformed attributes: {read.document['error']} (RFC 7606)")
    hop = read.next_hop
    if read.reach:
        hop = reach(read.reach)[1] if read.reach[0] == 0 else read.reach[1 : 1 + read.reach[0]]
    found = next_hop(hop)
    facts = dict(read.document)
    facts.setdefault("as_path", "")
    if "labels" in own:
        facts["labels"] = own["labels"]
    if found.address:
        facts["next_hop"] = found.address
    if found.link_local:
        facts["link_local"] = found.link_local
    if "object" in own:
        facts["object"] = own["object"]
    return bson.encode(facts)
