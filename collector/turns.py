"""Yields to the event loop during work that never waits, because its input is already there."""

from __future__ import annotations

import asyncio
from time import monotonic

TURN_SECONDS = 0.01


class Turn:
    """How long a task has run; for loops whose input may already be there.

    Use `if turn.is_over: await turn.end()`.
    """

    def __init__(self) -> None:
        self._began = monotonic()

    @property
    def is_over(self) -> bool:
        """Whether other tasks should run now."""
        return monotonic() - self._began > TURN_SECONDS

    async def end(self) -> None:
        """Let other tasks run once."""
        await asyncio.sleep(0)
        self._began = monotonic()
