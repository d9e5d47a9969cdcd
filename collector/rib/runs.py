"""Sorted runs of routes, in memory or in a temporary file.

In that small pieces that stay, among large ones that go, would hold it at its largest.
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
"""Where a route stands, which it is, and what was said last of it."""

RUN_ROUTES = 500
"""Of a page of a run: of each run that is merged so many are held at once."""


class PlacedPage(NamedTuple):
    """Where a page lies in its file."""

    offset: int
    size: int


class PageFile:
    """Packed pages, one behind the other, in a file without a name, which goes when this does.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._end = 0
        weakref.finalize(self, os.close, file)

    @classmethod
    def in_memory(cls) -> Self:
        """A file in memory of the kernel's."""
        return cls(os.memfd_create("pages"))

    @classmethod
    def on_disk(cls) -> Self:
        """A file in the system's folder for temporary files (`TMPDIR`)."""
        with tempfile.TemporaryFile(prefix="bgpledger-") as file:
            return cls(os.dup(file.fileno()))

    def append(self, page: bytes) -> PlacedPage:
        """Take a page."""
        placed = PlacedPage(self._end, len(page))
        self._end += os.pwrite(self._file, page, self._end)
        return placed

    def read(self, page: PlacedPage) -> bytes:
        """The page that lies there."""
        return os.pread(self._file, page.size, page.offset)


class Runs:
    """Runs of routes, each newer than those before it.

    Args:
        file: where their pages lie; without, in memory.
    """

    def __init__(self, file: PageFile | None = None) -> None:
        self.routes = 0
        self._runs: list[list[PlacedPage]] = []
        self._file = file

    def append(self, pages: Sequence[bytes], routes: int) -> Sequence[PlacedPage]:
        """Take a run that is newer than all before it; where its pages lie then."""
        self.routes += routes
        if self._file is None:
            self._file = PageFile.in_memory()
        run = [self._file.append(page) for page in pages]
        self._runs.append(run)
        return run

    def newest_first(self) -> list[Iterator[Change]]:
        """Each run's routes."""
        return [self._read(run) for run in reversed(self._runs)]

    def _read(self, run: list[PlacedPage]) -> Iterator[Change]:
        for page in run:
            assert self._file is not None  # noqa: S101  # a run is in it
            for key, held in unpack(self._file.read(page)):
                yield order(key), key, held
