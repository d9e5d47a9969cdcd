"""What happens now, for many who listen: the store is looked at once for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus

from starlette.types import Receive

from bgpledger import Archive, Filter, HistoryEntry, StoreError
from collector.http.problems import RefusedRequestError
from collector.tasks import end

log = logging.getLogger(__name__)

SEND_SECONDS = 20.0
"""How long one who listens may take to take what is sent."""
_MOST = 200
"""Who listen at once."""
_WAITING = 5000
"""Entries that wait for one of them at most."""
_AGAIN_SECONDS = 1.0
_TICK = timedelta(milliseconds=1)


async def gone(receive: Receive) -> None:
    """Wait until whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class SlowError(Exception):
    """Somebody does not take entries as fast as they come, and some are lost to them."""


class Listener:
    """Somebody who listens: gets every entry from when they came on."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[HistoryEntry] = asyncio.Queue(_WAITING)
        self._lost = False

    def put(self, entry: HistoryEntry) -> None:
        """Have an entry wait for them; once there is no room, none any more."""
        try:
            if not self._lost:
                self._waiting.put_nowait(entry)
        except asyncio.QueueFull:
            self._lost = True

    async def get(self) -> HistoryEntry:
        """The next entry.

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
                await end(following)

    @asynccontextmanager
    async def since(self, filters: Filter) -> AsyncIterator[AsyncIterator[HistoryEntry]]:
        """What has been stored since the filters' start, and then comes, for one who was here before, or replays.

        Raises:
            RefusedRequestError: as many listen as there is room for.
        """
        self._check_room()
        self._own += 1
        try:
            async with self._archive.tail(filters) as answers:
                yield answers
        finally:
            self._own -= 1

    def _check_room(self) -> None:
        if len(self._listeners) + self._own >= _MOST:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{_MOST} listen already", "try again later", {"Retry-After": "60"}
            )

    async def _follow(self) -> None:
        last: datetime | None = None
        while True:
            try:
                async with self._archive.tail(Filter(start=last and last + _TICK)) as answers:
                    async for entry in answers:
                        last = entry.ts
                        for listener in self._listeners:
                            listener.put(entry)
            except StoreError as error:
                log.warning("what happens now cannot be followed: %s", error.cause)
            await asyncio.sleep(_AGAIN_SECONDS)
