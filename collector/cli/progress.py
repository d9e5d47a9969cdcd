"""The progress of long work: one line on a terminal, removed when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

_PATIENCE = 1.0
"""Seconds before anything is shown; most queries are finished by then."""
_EVERY = 0.2
_WIDTH = 30


class ProgressLine:
    """Counts what is done, and shows it from time to time.

    Args:
        stream: the output; None: none.
        total: how much there is to do; None: unknown.
        of: what is counted, and what is done with it.
    """

    def __init__(self, stream: TextIO | None, total: int | None = None, *, of: str = "UPDATEs read") -> None:
        self.total = total
        self._of = of
        self._stream = stream
        self._done = 0
        self._began = time.monotonic()
        self._next = self._began + _PATIENCE
        self._shown = False

    def advance(self, more: int = 1) -> None:
        """Add to the count."""
        self._done += more
        if self._stream is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            self._shown = True
            self._stream.write(f"\r{self._line()}\x1b[K")
            self._stream.flush()

    def reach(self, done: int, total: int | None) -> None:
        """Set the count, and the total if known."""
        self.total = total
        self.advance(done - self._done)

    def end(self) -> None:
        """Remove the line."""
        if self._stream is not None and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _line(self) -> str:
        if not self.total:
            return f"{self._done:,} {self._of}"
        # More may have arrived since the total was counted.
        share = min(self._done / self.total, 1)
        done = int(share * _WIDTH)
        bar = f"[{'#' * done}{'.' * (_WIDTH - done)}] {share:4.0%} of {self.total:,} {self._of}"
        return f"{bar}{self._pace(share)}"

    def _pace(self, share: float) -> str:
        """The rate, and the remaining time."""
        seconds = time.monotonic() - self._began
        if not share or not seconds:
            return ""
        left = timedelta(seconds=round(seconds / share - seconds))
        return f", {self._done / seconds:,.0f}/s, {left} left"


@contextmanager
def progress(total: int | None = None, *, of: str = "UPDATEs read") -> Iterator[ProgressLine]:
    """Progress on stderr if that is a terminal."""
    shown = ProgressLine(sys.stderr if sys.stderr.isatty() else None, total, of=of)
    try:
        yield shown
    finally:
        shown.end()
