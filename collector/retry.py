"""Retries with growing pauses, and restarts of what has ended."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
HEALTHY_SECONDS = 60.0
"""After running for this long, a program is restarted after the first pause, however often it ended before."""


def pauses(first: float, longest: float, *, jitter: float = 0.0) -> Iterator[float]:
    """Seconds to wait: each pause twice as long as the one before, endlessly.

    Args:
        first: the first pause.
        longest: the maximum.
        jitter: the fraction by which each pause varies at random, so that processes do not retry in step.
    """
    while True:
        yield first * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311  # not a secret
        first = min(first * 2, longest)


async def sleep(seconds: float, unless: asyncio.Event) -> None:
    """Sleep for a number of seconds, or until an event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()


async def keep_up(run: Callable[[], Awaitable[str | None]], log: logging.Logger, stopping: asyncio.Event) -> None:
    """Run a program again and again, until an event is set or this is cancelled.

    Args:
        run: runs it to its end, and returns how it ended; None: intentionally, so that it is restarted at once.
        log: gets a message for each end.
        stopping: ends this when the program ends.
    """
    waits = pauses(FIRST_PAUSE, LONGEST_PAUSE)
    while not stopping.is_set():
        began = asyncio.get_running_loop().time()
        ended = await run()
        if stopping.is_set():
            return
        if ended is None:
            continue
        if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
            waits = pauses(FIRST_PAUSE, LONGEST_PAUSE)
        pause = next(waits)
        log.error("%s; starting it again in %g s", ended, pause)
        await sleep(pause, unless=stopping)
