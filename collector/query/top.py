"""The prefixes, origins, peers or paths with the most messages.

Entries are counted as they are read. Counts are exact for up to `MOST_NAMES` names and about `MOST_ROUTES` routes;
beyond that the names with the fewest messages, and the oldest routes, are forgotten.
"""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import chain
from typing import Literal

from collector.errors import UsageError
from collector.query.filters import Filter, origins_of
from collector.query.last_announced import LastAnnounced
from collector.query.search import search
from collector.store.mongo import Store
from schemas.attributes import is_treated_as_withdrawn
from schemas.identity import nlri_key
from schemas.query import HistoryEntry, TopEntry

What = Literal["prefixes", "origins", "peers", "paths"]
By = Literal["announcements", "withdrawals", "flaps", "path_changes", "malformed"]
MOST_NAMES = 300_000
MOST_ROUTES = 500_000

_ANNOUNCED, _WITHDRAWN, _FLAPPED, _CHANGED, _MALFORMED = range(5)
_COLUMNS: dict[str, int] = {
    "announcements": _ANNOUNCED,
    "withdrawals": _WITHDRAWN,
    "flaps": _FLAPPED,
    "path_changes": _CHANGED,
    "malformed": _MALFORMED,
}
_KINDS: dict[By, tuple[str, ...]] = {
    "announcements": ("announce",),
    "withdrawals": ("withdraw",),
    "flaps": ("announce", "withdraw"),
    "path_changes": ("announce",),
    "malformed": ("announce", "withdraw"),
}
"""The kinds of entries needed for each order."""
_PARTS = 16
"""Dictionaries for the names, and for the routes: one with half a million blocks the event loop for 60 ms when it
grows, or forgets its oldest."""
_NAMES: dict[str, Callable[[HistoryEntry], Sequence[str]]] = {
    "prefixes": lambda entry: () if entry.prefix is None else (entry.prefix,),
    "origins": lambda entry: [str(asn) for asn in origins_of(entry.as_path)],
    "peers": lambda entry: (entry.peer.name,),
    "paths": lambda entry: () if entry.as_path is None else (entry.as_path,),
}


async def top(
    store: Store, what: What, by: By, filters: Filter, limit: int, *, on_read: Callable[[], None] | None = None
) -> AsyncIterator[TopEntry]:
    """The `limit` names with the highest counts, without those that have none; ties in order of names.

    `on_read` is called for each UPDATE that has been read.
    """
    tally = TopTally()
    names_of = _NAMES[what]
    # A withdrawal's origin and path are those of the route that it ends.
    async for entry in search(store, filters, complete=what in ("origins", "paths"), on_read=on_read):
        if entry.event in ("announce", "withdraw"):
            tally.count(entry, names_of(entry))
            if tally.is_full:
                await asyncio.to_thread(tally.forget)
    for one in await asyncio.to_thread(tally.most, by, limit):
        yield one


def check_countable(by: By, filters: Filter) -> None:
    """Refuse filters that exclude what is counted.

    Raises:
        UsageError: nothing can match.
    """
    if not all(filters.wants(kind) for kind in _KINDS[by]):
        raise UsageError(
            f"elem leaves out {' or '.join(_KINDS[by])}, which {by.replace('_', ' ')} are made of: nothing can match",
            "leave elem out, or order by something else",
        )


class TopTally:
    """Counts by name."""

    def __init__(self, most_names: int = MOST_NAMES, most_routes: int = MOST_ROUTES) -> None:
        self._most_names = most_names
        self._places: list[dict[str, int]] = [{} for _ in range(_PARTS)]
        self._counts = array("Q")
        most = -(-most_routes // _PARTS)
        self._paths: list[LastAnnounced[int, int]] = [LastAnnounced(most) for _ in range(_PARTS)]
        """From the hash of a route to the hash of its path. With 64 bits, two of a million routes collide once in 30
        million cases."""

    @property
    def is_full(self) -> bool:
        """Whether names have to be forgotten."""
        return len(self._counts) >= self._most_names * len(_COLUMNS)

    def count(self, entry: HistoryEntry, names: Sequence[str]) -> None:
        """Count an announcement or a withdrawal for each of its names."""
        kinds = self._kinds(entry)
        for name in names:
            place = self._place(name)
            for kind in kinds:
                self._counts[place + kind] += 1

    def most(self, by: By, limit: int) -> list[TopEntry]:
        """The names with the highest counts."""
        kind = _COLUMNS[by]
        counts = ((-self._counts[place + kind], name) for name, place in self._named())
        # Sorting half a million would block the interpreter for as long, in whatever thread.
        return [self._entry(name) for count, name in heapq.nsmallest(limit, counts) if count]

    def _entry(self, name: str) -> TopEntry:
        place = self._place(name)
        return TopEntry(name=name, **{key: self._counts[place + kind] for key, kind in _COLUMNS.items()})

    def _kinds(self, entry: HistoryEntry) -> Sequence[int]:
        if is_treated_as_withdrawn(entry.error):
            return (_MALFORMED,)
        extra = (_MALFORMED,) if entry.error else ()
        nlri = entry.prefix or nlri_key(entry.family or "", entry.object)
        route = hash((entry.peer.name, entry.collector, entry.family, entry.rd, entry.path_id, nlri))
        paths = self._paths[_part(route)]
        if entry.event == "withdraw":
            paths.withdraw(route)
            return (_WITHDRAWN,)
        before, path = paths.get(route), hash(entry.as_path)
        flapped = (_FLAPPED,) if paths.is_withdrawn(route) else ()
        changed = (_CHANGED,) if before not in (None, path) else ()
        paths.announce(route, path)
        return (_ANNOUNCED, *flapped, *changed, *extra)

    def _place(self, name: str) -> int:
        """The index of a name's counts, which are created if it has none."""
        places = self._places[_part(hash(name))]
        place = places.get(name)
        if place is None:
            place = places[name] = len(self._counts)
            self._counts.extend([0] * len(_COLUMNS))
        return place

    def _named(self) -> Iterator[tuple[str, int]]:
        return chain.from_iterable(places.items() for places in self._places)

    def forget(self) -> None:
        """Keep the half of the names with the most messages; takes some tenths of a second."""
        by_count = sorted((-sum(self._counts[place : place + 2]), place, name) for name, place in self._named())
        counts, self._counts = self._counts, array("Q")
        self._places = [{} for _ in range(_PARTS)]
        for _, place, name in by_count[: self._most_names // 2]:
            kept = self._place(name)
            self._counts[kept : kept + len(_COLUMNS)] = counts[place : place + len(_COLUMNS)]


def _part(number: int) -> int:
    """The dictionary for a hash, by bits that the dictionary itself does not start with."""
    return (number >> 40) % _PARTS
