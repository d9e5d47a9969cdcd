"""What the receiver notices besides ExaBGP's lines, after each read: a reload, a clock that was set."""

from __future__ import annotations

import time
from pathlib import Path

from collector.sources.exabgp import receiver_events, reloads

STEP_SECONDS = 0.5
"""A smaller step of the clock is not told of. Slewing is none: it moves both clocks alike (clock_gettime(2))."""
_LONGEST_LOOK = 0.1
"""Between two looks at a clock: who was held up longer looks again the next time."""


class Notices:
    """Looks, and makes the lines that tell of it.

    Args:
        exabgp: what `receiver_events.exabgp` gave.
        reloads: the file of `collector.sources.exabgp.reloads`.
    """

    def __init__(self, exabgp: int, reloads_file: Path) -> None:
        self._exabgp = exabgp
        self._file = reloads_file
        self.reloads = reloads.told(reloads_file)
        """How many reloads there were so far."""
        self._ahead = _ahead()

    def __call__(self) -> bytes:
        """The lines, mostly none, that belong ahead of what was read last."""
        return self._reload() + self._clock()

    def _reload(self) -> bytes:
        now = reloads.told(self._file)
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
    """By how much the clock is ahead of the one that nobody sets, in seconds; None where that took too long to tell."""
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = time.time()
    return now - begin if time.clock_gettime(time.CLOCK_BOOTTIME) - begin < _LONGEST_LOOK else None
