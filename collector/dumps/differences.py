"""Compares a RIB dump with the table that the UPDATEs before it give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import lru_cache

import bson

from collector.query.peer_ribs import PeerRib
from collector.rib.dumped import DumpedTable
from collector.rib.pages import unpack
from collector.rib.routes import RouteEntry, RouteKey, order
from collector.rib.runs import Change

_COMPARED = (
    *("as_path", "origin", "next_hop", "med", "local_pref"),
    *("communities", "large_communities", "extended_communities"),
)
"""The fields that all dumps have: some omit what their writer does not know, or a link-local next hop."""


@dataclass
class Differences:
    """Routes of one peer that differ."""

    missing: int = 0
    """Routes in the dump that no UPDATE announced."""
    gone: int = 0
    """Routes that UPDATEs announced and that are not in the dump."""
    others: int = 0
    """Routes with other attributes in the dump."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.gone or self.others)

    def __str__(self) -> str:
        counts = ((self.missing, "more"), (self.gone, "fewer"), (self.others, "with other attributes"))
        return ", ".join(f"{count:,} {what}" for count, what in counts if count)


async def compare(before: PeerRib, table: DumpedTable, since: int) -> Differences:
    """How a dump's table differs from the table before it.

    Routes that are unknown then, because lines of the peer are missing anyway, are not compared; nor are routes
    announced in the second of the dump.

    Args:
        before: the table at the time of the dump, from UPDATEs.
        table: the dump's table.
        since: the dump's time, in unix milliseconds.
    """
    found = Differences()
    old, dumped = _routes(before), _dumped(table)
    one, two = await anext(old, None), next(dumped, None)
    while one or two:
        if two is None or (one and one[0] < two[0]):
            assert one is not None  # noqa: S101  # one of them is there
            found.gone += _is_sure(before, one)
            one = await anext(old, None)
        elif one is None or two[0] < one[0]:
            found.missing += not before.hides(two[1].family) and two[2].since < since
            two = next(dumped, None)
        else:
            if one[2].facts != two[2].facts and two[2].since < since and _is_sure(before, one):
                found.others += _compared(one[2].facts) != _compared(two[2].facts)
            one, two = await anext(old, None), next(dumped, None)
    return found


def _is_sure(before: PeerRib, change: Change) -> bool:
    return before.state(change[1], change[2]) == "stands"


async def _routes(peer_rib: PeerRib) -> AsyncIterator[Change]:
    async for items in peer_rib.table():
        for key, entry in items:
            yield order(key), key, entry


def _dumped(table: DumpedTable) -> Iterator[tuple[bytes, RouteKey, RouteEntry]]:
    for page in table.pages():
        for key, entry in unpack(page.packed):
            yield order(key), key, entry


@lru_cache(maxsize=4096)
def _compared(facts: bytes) -> tuple[str, ...]:
    fields = bson.decode(facts)
    return tuple(str(fields.get(name)) for name in _COMPARED)
