"""Sorted runs of routes, in memory or in a temporary file.

Packed pages in one place, because small objects that stay among large ones that are freed would keep the process at its
largest size.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from collector.rib.pages import unpack
from collector.rib.routes import RouteEntry, RouteKey, order

Change = tuple[bytes, RouteKey, RouteEntry]
"""The sort key of a route, its key, and its last state."""

RUN_ROUTES = 500
"""The size of a run's page: when runs are merged, this many routes of each are in memory."""


class PlacedPage(NamedTuple):
    """The position of a page in its file."""

    offset: int
    size: int


class PageFile:
    """Packed pages, one after the other, in an anonymous file, which is deleted with this object.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._end = 0
        weakref.finalize(self, os.close, file)

    @classmethod
    def in_memory(cls) -> Self:
        """A file in the kernel's memory."""
        return cls(os.memfd_create("pages"))

    @classmethod
    def on_disk(cls) -> Self:
        """A file in the system's folder for temporary files (`TMPDIR`)."""
        with tempfile.TemporaryFile(prefix="bgpledger-") as file:
            return cls(os.dup(file.fileno()))

    def append(self, page: bytes) -> PlacedPage:
        """Append a page."""
        placed = PlacedPage(self._end, len(page))
        self._end += os.pwrite(self._file, page, self._end)
        return placed

    def read(self, page: PlacedPage) -> bytes:
        """Read a page."""
        return os.pread(self._file, page.size, page.offset)


class Runs:
    """Runs of routes, each newer than those before it.

    Args:
        file: where their pages are stored; None: in memory.
    """

    def __init__(self, file: PageFile | None = None) -> None:
        self.routes = 0
        self._runs: list[list[PlacedPage]] = []
        self._file = file

    def append(self, pages: Sequence[bytes], routes: int) -> Sequence[PlacedPage]:
        """Append a run that is newer than all before it; returns the positions of its pages."""
        self.routes += routes
        if self._file is None:
            self._file = PageFile.in_memory()
        run = [self._file.append(page) for page in pages]
        self._runs.append(run)
        return run

    def newest_first(self) -> list[Iterator[Change]]:
        """The routes of each run, the newest run first."""
        return [self._read(run) for run in reversed(self._runs)]

    def _read(self, run: list[PlacedPage]) -> Iterator[Change]:
        for page in run:
            assert self._file is not None  # noqa: S101  # a run is in it
            for key, entry in unpack(self._file.read(page)):
                yield order(key), key, entry
