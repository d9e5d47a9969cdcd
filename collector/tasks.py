"""Tasks that are ended, or cancelled."""

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


async def cancelled_as_one(work: Coroutine[Any, Any, T]) -> T:
    """Do work; where this task was cancelled meanwhile, whatever error comes of it is that cancellation.

    Work in tasks of its own, cancelled with this one, may tell of a connection that was given up.

    Raises:
        asyncio.CancelledError: this task was cancelled.
    """
    try:
        return await work
    except Exception as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError from error
        raise
