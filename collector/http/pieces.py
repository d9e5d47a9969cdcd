"""Passes on what a format writes in pieces: as fast as it is read, and no faster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from io import StringIO
from typing import Any, TextIO

from bgpledger import Answers
from collector.tasks import end

_PIECE = 64 * 1024
"""The maximum number of characters that are sent at once."""
_SOON = 0.1
"""Seconds after which available output is sent."""
_WAITING = 2
"""The maximum number of pieces that wait for a slow reader; then the query waits too."""


class Pieces:
    """The text of answers, for `async for`, once; `aclose` ends the query if not all of it has been read.

    Args:
        answers: the answers.
        write: writes them.
    """

    def __init__(self, answers: Answers[Any], write: Callable[[AsyncIterator[Any], TextIO], Awaitable[int]]) -> None:
        self._answers = answers
        self._write = write
        self._text = StringIO()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._working: asyncio.Task[None] | None = None
        self._first = ""

    async def begin(self) -> None:
        """Wait for the first piece, so that a failing query fails before anything is sent.

        Raises:
            BgpledgerError: it fails.
        """
        self._working = asyncio.create_task(self._work())
        try:
            self._first = await self._waiting.get()
            if not self._first:
                await self._working
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def __aiter__(self) -> AsyncIterator[str]:
        assert self._working is not None  # noqa: S101  # it has begun
        piece = self._first
        while piece:
            yield piece
            piece = await self._waiting.get()
        await self._working

    async def aclose(self) -> None:
        """End the query."""
        if self._working is not None:
            await end(self._working)

    async def _work(self) -> None:
        try:
            async with aclosing(self._handing_over()) as answers:
                await self._write(answers, self._text)
            await self._hand_over()
        finally:
            await self._answers.aclose()
            await self._waiting.put("")

    async def _handing_over(self) -> AsyncGenerator[Any, None]:
        loop = asyncio.get_running_loop()
        due = loop.time() + _SOON
        async for one in self._answers:
            if self._text.tell() >= _PIECE or (loop.time() > due and self._text.tell()):
                await self._hand_over()
                due = loop.time() + _SOON
            yield one

    async def _hand_over(self) -> None:
        if text := self._text.getvalue():
            self._text.seek(0)
            self._text.truncate()
            await self._waiting.put(text)
