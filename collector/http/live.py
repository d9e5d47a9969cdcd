"""What happens now, for many who listen: the store is looked at once for all of them."""

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
from collector.query.follow import ToldLine
from collector.tasks import end

log = logging.getLogger(__name__)

SEND_SECONDS = 20.0
"""How long one who listens may take to take what is sent."""
_MOST = 200
"""Who listen at once."""
_WAITING = 5000
"""Lines that wait for one of them at most."""
_AGAIN_SECONDS = 1.0


async def gone(receive: Receive) -> None:
    """Wait until whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class SlowError(Exception):
    """Somebody does not take what is told as fast as it comes, and some is lost to them."""


class Listener:
    """Somebody who listens: gets all that is told from when they came on."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[ToldLine] = asyncio.Queue(_WAITING)
        self._lost = False

    def put(self, told: ToldLine) -> None:
        """Have it wait for them; once there is no room, nothing any more."""
        try:
            if not self._lost:
                self._waiting.put_nowait(told)
        except asyncio.QueueFull:
            self._lost = True

    async def get(self) -> ToldLine:
        """The next.

        Raises:
            SlowError: too many wait.
        """
        if self._lost:
            raise SlowError
        return await self._waiting.get()


class Live:
    """Follows an archive for as long as somebody listens."""

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
            RefusedRequestError: as many listen as there is room for.
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
    async def behind(self, mark: LineMark) -> AsyncIterator[AsyncIterator[ToldLine]]:
        """What has been stored behind a mark, and then comes, for one who was here before.

        What comes meanwhile may be told twice, which the mark knows.

        Raises:
            RefusedRequestError: as many listen as there is room for.
        """

        async def each() -> AsyncIterator[ToldLine]:
            await self._looking.wait()  # what is stored from now on comes to the listener
            async with self._archive.missed(mark) as missed:
                async for told in missed:
                    yield told
            while True:
                yield await listener.get()

        async with self.listening() as listener:
            yield each()

    @asynccontextmanager
    async def since(self, start: datetime) -> AsyncIterator[AsyncIterator[ToldLine]]:
        """What has been stored since a time, and then comes, for one who replays.

        Raises:
            RefusedRequestError: as many listen as there is room for.
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
                HTTPStatus.SERVICE_UNAVAILABLE, f"{_MOST} listen already", "try again later", {"Retry-After": "60"}
            )

    async def _follow(self) -> None:
        mark = LineMark()
        while True:
            try:
                async with self._archive.follow(after=mark, pulse=self._looking.set) as answers:
                    async for told in answers:
                        if mark.given_of(told) < len(told.entries):
                            mark.see(told, len(told.entries))
                            for listener in self._listeners:
                                listener.put(told)
            except StoreError as error:
                log.warning("what happens now cannot be followed: %s", error.cause)
            await asyncio.sleep(_AGAIN_SECONDS)
