"""Ends asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_SECONDS = 0.1


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough for one that asks a store: Python 3.11's `asyncio.wait_for`, which the driver waits by, takes an
    answer that comes in the same moment for more than the cancellation, and the task goes on.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work as `asyncio.run` does; Ctrl-C ends it even where one cancellation is not enough (`end`).

    Raises:
        KeyboardInterrupt: Ctrl-C; the work has ended.
    """

    async def until_ended() -> T:
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await end(task)
            raise

    return asyncio.run(until_ended())
