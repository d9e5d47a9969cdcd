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
        file: where its pages lie, beside those of others.
    """

    def __init__(self, file: PageFile) -> None:
        self.held: Items = []
        """What came last. Whoever appends to it calls `pack` when it has `pages.ROUTES`."""
        self.twice = 0
        """Routes that were there already; the last one counts. Known when all `pages` were given."""
        self._file = file
        self._runs = Runs(file)
        self._pages: list[tuple[PlacedPage, PackedPage]] = []
        """In their order, where all came in it; without their bytes."""
        self._in_order = True

    @property
    def routes(self) -> int:
        """How many were packed, those that came twice counted twice."""
        return self._runs.routes

    def pack(self, *, in_order: bool) -> None:
        """Put away what is held.

        Args:
            in_order: all routes so far came in their order, and none of them twice.
        """
        if not self.held:
            return
        self._in_order &= in_order
        routes = pages.ROUTES if in_order else RUN_ROUTES
        if not in_order:
            # Of a route that came twice the last one stands first, as in runs.
            self.held = self.held[::-1]
            self.held.sort(key=lambda item: order(item[0]))
        made = [page_of(self.held[at : at + routes]) for at in range(0, len(self.held), routes)]
        placed = self._runs.append([page.packed for page in made], len(self.held))
        if self._in_order:
            self._pages += [(at, page._replace(packed=b"")) for at, page in zip(placed, made, strict=True)]
        self.held = []

    def pages(self) -> Iterator[PackedPage]:
        """All of its routes in their order, each once; all that was held has been packed."""
        if self._in_order:
            for at, page in self._pages:
                yield page._replace(packed=self._file.read(at))
            return
        items: Items = []
        for _, key, held in self.changes():
            items.append((key, held))
            if len(items) == pages.ROUTES:
                yield page_of(items)
                items = []
        if items:
            yield page_of(items)

    def changes(self) -> Iterator[Change]:
        """The same, route by route."""
        last = None
        self.twice = 0
        for change in heapq.merge(*self._runs.newest_first(), key=lambda one: one[0]):
            if change[0] == last:
                self.twice += 1
            else:
                yield change
            last = change[0]
