"""Trying again: after pauses that grow, and what has ended is started again after them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
HEALTHY_SECONDS = 60.0
"""What ran for this long is started again after the first pause, however often it ended before."""


def pauses(first: float, longest: float, *, jitter: float = 0.0) -> Iterator[float]:
    """Seconds to wait: each twice the one before, without end.

    Args:
        first: the first pause.
        longest: what they grow to.
        jitter: the part by which each is longer or shorter at random, so that many who wait do not act as one.
    """
    while True:
        yield first * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311  # not a secret
        first = min(first * 2, longest)


async def sleep(seconds: float, unless: asyncio.Event) -> None:
    """Sleep so long, or until an event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()


async def keep_up(run: Callable[[], Awaitable[str | None]], log: logging.Logger, stopping: asyncio.Event) -> None:
    """Run a program again and again, until an event is set or this is cancelled.

    Args:
        run: runs it to its end, and returns how it ended; None: by our own will, so that it starts again at once.
        log: where each end is told.
        stopping: ends this, together with the program's end.
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
