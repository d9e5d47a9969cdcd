"""The live feed for many listeners: the store is read once for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

from starlette.types import Receive

from bgpledger import Archive, Filter, StoreError
from bgpledger.cursors import LineMark
from collector.http.problems import RefusedRequestError
from collector.query.follow import FollowedLine
from collector.tasks import end

log = logging.getLogger(__name__)

SEND_SECONDS = 20.0
"""How long a listener may take to receive what is sent."""
_MOST = 200
"""The maximum number of listeners."""
_WAITING = 10_000
"""The maximum number of entries that wait for one listener: some 50 MB, which listeners share."""
_AHEAD = 1_000
"""While this many entries wait for every listener, no more are read."""
_ROOM_SECONDS = 0.02
"""Seconds between two looks at how many wait."""
_AGAIN_SECONDS = 1.0


async def gone(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


class SlowError(Exception):
    """A listener is too slow for the feed, and some of it is lost."""


class Listener:
    """A listener: gets everything from when it was added."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[FollowedLine] = asyncio.Queue()
        self.waiting = 0
        """The number of entries that wait for it."""
        self.is_lost = False
        """Whether it was too slow: it gets nothing more."""

    def put(self, line: FollowedLine) -> None:
        """Queue a line for it; once too much waits, nothing is kept for it any more."""
        if self.waiting >= _WAITING:
            self.is_lost, self.waiting, self._lines = True, 0, asyncio.Queue()
        if not self.is_lost:
            self.waiting += len(line.entries)
            self._lines.put_nowait(line)

    async def get(self) -> FollowedLine:
        """The next line.

        Raises:
            SlowError: too much was waiting.
        """
        if self.is_lost:
            raise SlowError
        line = await self._lines.get()
        self.waiting -= len(line.entries)
        return line

    async def lines(self) -> AsyncIterator[FollowedLine]:
        """All lines from now on.

        Raises:
            SlowError: too much was waiting.
        """
        while True:
            yield await self.get()


class Live:
    """Follows an archive while there are listeners, as fast as the fastest of them reads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._listeners: set[Listener] = set()
        self._following: asyncio.Task[None] | None = None
        self._looking = asyncio.Event()
        self._own = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Listen until the block ends.

        Raises:
            RefusedRequestError: there are too many listeners.
        """
        self._check_room()
        listener = Listener()
        self._listeners.add(listener)
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._following is not None:
                following, self._following = self._following, None
                self._looking.clear()
                await end(following)

    @asynccontextmanager
    async def after(self, mark: LineMark) -> AsyncIterator[AsyncIterator[FollowedLine]]:
        """What has been stored after a mark, then the live feed, for a client that returns.

        Lines stored meanwhile may be given twice, which the mark detects.

        Raises:
            RefusedRequestError: there are too many listeners.
        """

        async def each() -> AsyncIterator[FollowedLine]:
            await self._looking.wait()  # from now on the listener gets what is stored
            async with self._archive.missed(mark) as missed:
                async for line in missed:
                    yield line
            async for line in listener.lines():
                yield line

        async with self.listening() as listener:
            yield each()

    @asynccontextmanager
    async def since(self, start: datetime) -> AsyncIterator[AsyncIterator[FollowedLine]]:
        """What has been stored since a time, then the live feed, for a client that replays.

        Raises:
            RefusedRequestError: there are too many listeners.
        """
        self._check_room()
        self._own += 1
        try:
            async with self._archive.follow(Filter(start=start)) as answers:
                yield answers
        finally:
            self._own -= 1

    def _check_room(self) -> None:
        if len(self._listeners) + self._own >= _MOST:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"there are {_MOST} listeners already",
                "try again later",
                {"Retry-After": "60"},
            )

    async def _follow(self) -> None:
        mark = LineMark()
        while True:
            try:
                async with self._archive.follow(after=mark, pulse=self._looking.set) as answers:
                    async for line in answers:
                        if mark.given_of(line) < len(line.entries):
                            mark.see(line, len(line.entries))
                            for listener in self._listeners:
                                listener.put(line)
                            await self._room()
            except StoreError as error:
                log.warning("what happens now cannot be followed: %s", error.cause)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _room(self) -> None:
        """Wait until one listener has received most of what was read: the store keeps the rest better than memory."""
        while min((one.waiting for one in self._listeners if not one.is_lost), default=0) >= _AHEAD:
            await asyncio.sleep(_ROOM_SECONDS)
