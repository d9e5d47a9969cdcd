"""Collects the routes of a peer's table from a RIB dump."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from collector.rib import pages
from collector.rib.pages import PackedPage, page_of
from collector.rib.routes import Items, order
from collector.rib.runs import RUN_ROUTES, Change, PageFile, PlacedPage, Runs


class DumpedTable:
    """Collects the routes of one peer.

    Args:
        file: where its pages are stored, with those of other peers.
    """

    def __init__(self, file: PageFile) -> None:
        self.buffered: Items = []
        """The routes since the last `pack`. Whoever appends to it calls `pack` when it has `pages.ROUTES`."""
        self.twice = 0
        """The number of duplicate routes, of which the last one counts. Complete when `pages` has given all pages."""
        self._file = file
        self._runs = Runs(file)
        self._pages: list[tuple[PlacedPage, PackedPage]] = []
        """The pages, without their bytes, if all routes arrived in order."""
        self._in_order = True

    @property
    def routes(self) -> int:
        """The number of packed routes, with duplicates."""
        return self._runs.routes

    def pack(self, *, in_order: bool) -> None:
        """Pack the routes that are held.

        Args:
            in_order: whether all routes so far arrived in order, without duplicates.
        """
        if not self.buffered:
            return
        self._in_order &= in_order
        routes = pages.ROUTES if in_order else RUN_ROUTES
        if not in_order:
            # Of duplicate routes the last one comes first, as in runs.
            self.buffered = self.buffered[::-1]
            self.buffered.sort(key=lambda item: order(item[0]))
        made = [page_of(self.buffered[at : at + routes]) for at in range(0, len(self.buffered), routes)]
        placed = self._runs.append([page.packed for page in made], len(self.buffered))
        if self._in_order:
            self._pages += [(at, page._replace(packed=b"")) for at, page in zip(placed, made, strict=True)]
        self.buffered = []

    def pages(self) -> Iterator[PackedPage]:
        """All of its routes in order, without duplicates; `pack` must have been called."""
        if self._in_order:
            for at, page in self._pages:
                yield page._replace(packed=self._file.read(at))
            return
        items: Items = []
        for _, key, entry in self.changes():
            items.append((key, entry))
            if len(items) == pages.ROUTES:
                yield page_of(items)
                items = []
        if items:
            yield page_of(items)

    def changes(self) -> Iterator[Change]:
        """The same, one route at a time."""
        last = None
        self.twice = 0
        for change in heapq.merge(*self._runs.newest_first(), key=lambda one: one[0]):
            if change[0] == last:
                self.twice += 1
            else:
                yield change
            last = change[0]
