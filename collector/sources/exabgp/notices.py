"""What the receiver notices besides ExaBGP's lines, after each read: a reload, a clock change."""

from __future__ import annotations

import time
from pathlib import Path

from collector.sources.exabgp import receiver_events, reloads

STEP_SECONDS = 0.5
"""Smaller steps of the clock are not reported. Slewing is not a step: it affects both clocks alike
(clock_gettime(2))."""
_LONGEST_LOOK = 0.1
"""The maximum time between reading the two clocks; if it takes longer, they are read again next time."""


class Notices:
    """Detects events, and makes the lines that report them.

    Args:
        exabgp: the value of `receiver_events.exabgp`.
        reloads_file: the file of `collector.sources.exabgp.reloads`.
    """

    def __init__(self, exabgp: int, reloads_file: Path) -> None:
        self._exabgp = exabgp
        self._file = reloads_file
        self.reloads = reloads.read_count(reloads_file)
        """The number of reloads so far."""
        self._ahead = _ahead()

    def __call__(self) -> bytes:
        """The lines, usually none, to insert before what was read last."""
        return self._reload() + self._clock()

    def _reload(self) -> bytes:
        now = reloads.read_count(self._file)
        if now == self.reloads:
            return b""
        self.reloads = now
        return receiver_events.reload(self._exabgp, now)

    def _clock(self) -> bytes:
        ahead = _ahead()
        if ahead is None:
            return b""
        before, self._ahead = self._ahead, ahead
        if before is None or abs(ahead - before) < STEP_SECONDS:
            return b""
        return receiver_events.clock(self._exabgp, ahead - before)


def _ahead() -> float | None:
    """How far the clock is ahead of the monotonic one, in seconds; None if reading both took too long."""
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = time.time()
    return now - begin if time.clock_gettime(time.CLOCK_BOOTTIME) - begin < _LONGEST_LOOK else None
