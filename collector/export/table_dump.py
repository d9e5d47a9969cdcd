"""Writes the tables of all peers at one time: MRT TABLE_DUMP_V2 (RFC 6396 4.3, RFC 8050 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import IO, Any, Final, NamedTuple

import bson

from collector.bgp.encode_attributes import attribute_bytes
from collector.bgp.encode_routes import UnwritableError, is_classic, next_hop_bytes, nlri_bytes
from collector.bgp.families import family_number
from collector.bgp.mrt_records import IndexedPeer, TableEntry, index_record, rib_record
from collector.errors import ExportError
from collector.export.summary import ExportSummary
from collector.query.peer_ribs import PeerRib
from collector.query.table import PrefixRoutes
from collector.rib.routes import RouteKey
from schemas.attributes import Attributes
from schemas.stored import GroupDocument

_MOST_PEERS: Final = 2**16 - 1
_KINDS: Final = 50_000
"""The number of sets of route fields whose bytes are cached."""


class _Facts(Attributes, total=False):
    """The fields of a route that many others share; see `schemas.snapshots.SnapshotPart`."""

    next_hop: str
    link_local: str
    labels: list[list[int]]
    object: Any


class _Kind(NamedTuple):
    """The fields that many routes share."""

    facts: _Facts
    attributes: bytes
    left_out: tuple[str, ...]


class TableWriter:
    """Writes one table.

    Args:
        at: the time of the routes.
        stream: the output.
    """

    def __init__(self, at: datetime, stream: IO[bytes]) -> None:
        self._at = at
        self._stream = stream
        self._peers: list[IndexedPeer] = []
        self._view = ""
        self._kinds: dict[tuple[str, bytes], _Kind] = {}
        self._written = ExportSummary()
        self._sequence = 0

    def set_peers(self, ribs: Sequence[PeerRib]) -> None:
        """Set the peers whose tables these are, before any routes.

        Raises:
            ExportError: there are more than a dump can contain.
        """
        if len(ribs) > _MOST_PEERS:
            raise ExportError(f"{len(ribs)} peers are more than an MRT dump can contain", "export fewer (--peer)")
        for session in (one.session for one in ribs):
            peer = session["peer"]
            self._peers.append(IndexedPeer(peer["address"], peer["asn"], session.get("router_id", "0.0.0.0")))  # noqa: S104
        collectors = {one.session["collector"] for one in ribs}
        self._view = collectors.pop() if len(collectors) == 1 else ""

    async def write(self, prefixes: AsyncIterator[PrefixRoutes]) -> ExportSummary:
        """Write the index of the peers, and all routes."""
        async for routes in prefixes:
            if not self._written.records:
                self._put(index_record(self._at, self._peers, self._view))
            for record in self._records(routes):
                self._put(record)
        return self._written

    def _put(self, record: bytes) -> None:
        self._stream.write(record)
        self._written.records += 1

    def _records(self, routes: PrefixRoutes) -> Iterator[bytes]:
        """Usually one record; routes with path identifiers, or with other labels, have their own records."""
        family = family_number(routes[0].key.family)
        found: dict[tuple[bytes, bool], list[TableEntry]] = {}
        for peer, key, entry in routes:
            kind = self._kind(key.family, entry.facts)
            try:
                nlri = _nlri(key, kind.facts)
            except UnwritableError as error:
                self._written.messages[str(error)] += 1
                continue
            self._written.without.update(kind.left_out)
            one = TableEntry(peer, entry.since // 1000, key.path_id, kind.attributes)
            found.setdefault((nlri, key.path_id is not None), []).append(one)
        for (nlri, _), entries in found.items():
            yield rib_record(self._at, self._sequence, family, nlri, entries)
            self._sequence += 1

    def _kind(self, family: str, facts: bytes) -> _Kind:
        kind = self._kinds.get((family, facts))
        if kind is None:
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            read: _Facts = bson.decode(facts)  # type: ignore[assignment]  # what we have stored
            kind = self._kinds[family, facts] = _Kind(read, *_attributes(family, read))
        return kind


def _attributes(family: str, facts: _Facts) -> tuple[bytes, tuple[str, ...]]:
    """The attributes of a route, with MP_REACH_NLRI reduced to the next hop (RFC 6396 4.3.4)."""
    group: GroupDocument = {"family": family}
    if "next_hop" in facts:
        group["next_hop"] = facts["next_hop"]
    if "link_local" in facts:
        group["link_local"] = facts["link_local"]
    hop = next_hop_bytes(family_number(family), group)
    if is_classic(group):
        return attribute_bytes(facts, next_hop=hop)
    return attribute_bytes(facts, reach=bytes((len(hop),)) + hop)


def _nlri(key: RouteKey, facts: _Facts) -> bytes:
    group: GroupDocument = {"family": key.family, "labels": facts.get("labels", [])}
    if key.rd is not None:
        group["rd"] = key.rd
    if key.is_prefix:
        return nlri_bytes(group, key.nlri)
    return nlri_bytes({**group, "objects": []}, facts.get("object"))
