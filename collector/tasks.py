"""Ends asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_SECONDS = 0.1


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended.

    One cancellation may not be enough for a task that queries a store: Python 3.11's `asyncio.wait_for`, which the
    driver uses, ignores a cancellation if an answer arrives at the same moment.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work as `asyncio.run` does; Ctrl-C ends it even if one cancellation is not enough (`end`).

    Raises:
        KeyboardInterrupt: Ctrl-C; the work has ended.
    """
    tasks: list[asyncio.Task[T]] = []

    async def until_ended() -> T:
        task = asyncio.ensure_future(work)
        tasks.append(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await end(task)
            raise

    try:
        return asyncio.run(until_ended())
    except KeyboardInterrupt:
        # A second Ctrl-C ends the work itself with this exception, which asyncio logs unless someone asks for it.
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
        raise
