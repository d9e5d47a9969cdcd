"""Responses without end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collector.http.live import SEND_SECONDS, gone
from collector.query.follow import FollowedLine
from collector.tasks import end

Say = Callable[[str], Awaitable[None]]


class EndlessResponse(Response, ABC):
    """A response about lines as they are stored; it ends when its reader leaves, or is too slow."""

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until nobody reads it."""

        async def say(text: str) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        async def work(lines: AsyncIterator[FollowedLine]) -> None:
            await self.tell(lines, say)
            await send({"type": "http.response.body", "body": b""})

        async with AsyncExitStack() as stack:
            lines = await self.lines(stack)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            working = asyncio.create_task(work(lines))
            leaving = asyncio.create_task(gone(receive))
            try:
                await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(working, leaving)

    @abstractmethod
    async def lines(self, stack: AsyncExitStack) -> AsyncIterator[FollowedLine]:
        """What it is about.

        Raises:
            RefusedRequestError: there are too many listeners.
        """

    @abstractmethod
    async def tell(self, lines: AsyncIterator[FollowedLine], say: Say) -> None:
        """Send it, until it has no more to say: with a last word for a reader that is too slow."""
