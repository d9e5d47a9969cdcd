"""How far long reading has come: one line on a terminal, away again when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_PATIENCE = 1.0
"""Seconds before anything is shown: most questions are answered by then."""
_EVERY = 0.2
_WIDTH = 30


class Progress:
    """Counts what is read, and shows it now and then.

    Args:
        stream: where to, or None for nowhere.
        total: how much there is to read; None while it is not known.
        of: what is counted.
    """

    def __init__(self, stream: TextIO | None, total: int | None = None, *, of: str = "UPDATEs") -> None:
        self.total = total
        self._of = of
        self._stream = stream
        self._read = 0
        self._next = time.monotonic() + _PATIENCE
        self._shown = False

    def advance(self, more: int = 1) -> None:
        """So many more have been read."""
        self._read += more
        if self._stream is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            self._shown = True
            self._stream.write(f"\r{self._line()}\x1b[K")
            self._stream.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._stream is not None and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _line(self) -> str:
        if not self.total:
            return f"{self._read:,} {self._of} read"
        # More may have come since they were counted.
        share = min(self._read / self.total, 1)
        done = int(share * _WIDTH)
        return f"[{'#' * done}{'.' * (_WIDTH - done)}] {share:4.0%} of {self.total:,} {self._of} read"


@contextmanager
def progress(*, among_answers: bool, of: str = "UPDATEs") -> Iterator[Progress]:
    """Progress on stderr where that is a terminal; not among answers that are printed to one meanwhile."""
    shows = sys.stderr.isatty() and not (among_answers and sys.stdout.isatty())
    shown = Progress(sys.stderr if shows else None, of=of)
    try:
        yield shown
    finally:
        shown.end()
