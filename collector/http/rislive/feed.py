"""What a client gets: the lines of the archive, live or from the past, and of them the messages it subscribed to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import NamedTuple, Self

from bgpledger import Archive, BgpledgerError, UsageError, parse_time
from collector.http.live import Live, SlowError
from collector.http.ripestat.sources import Sources
from collector.http.rislive.messages import Messages, prefixes_of
from collector.http.rislive.subscriptions import Request, Subscriptions
from collector.query.follow import FollowedLine
from schemas.json_object import JsonObject

_FASTEST = 1_000_000


def text(kind: str, data: object) -> str:
    """A message of the protocol."""
    return json.dumps({"type": kind, "data": data})


def error_text(error: BgpledgerError | SlowError) -> str:
    """A message that says what is wrong."""
    if isinstance(error, SlowError):
        message = "messages come faster than they are read: subscribe to less, or read faster"
    else:
        message = f"{error.cause} ({error.cure})" if error.cure else error.cause
    return text("ris_error", {"message": message})


class Playback(NamedTuple):
    """Since when, and how many times as fast as it was."""

    start: datetime | None
    """None: live."""
    speed: float

    @classmethod
    def parse(cls, begin: str | None, speed: str) -> Self:
        """Read the parameters.

        Raises:
            UsageError: one is invalid.
        """
        try:
            times = float(speed)
        except ValueError:
            times = 0.0
        if not 0 < times <= _FASTEST:
            raise UsageError(f"speed={speed[:40]} cannot be played", f"give a number above 0, at most {_FASTEST}")
        return cls(parse_time(begin), times)


class Feed:
    """The messages for a client.

    Args:
        archive: what they are made of.
        sources: its peers.
        patience: how many seconds after its last subscription the client may subscribe again before playback begins.
    """

    def __init__(self, archive: Archive, sources: Sources, patience: float) -> None:
        self._archive = archive
        self._messages = Messages(sources)
        self._patience = patience
        self._subscribed = float("-inf")
        self.subscriptions = Subscriptions()
        self.has_subscribed = asyncio.Event()

    @classmethod
    async def open(cls, archive: Archive, patience: float = 0.0) -> Self:
        """The feed of a client without subscriptions."""
        return cls(archive, await Sources.of(archive), patience)

    @property
    def collectors(self) -> list[str]:
        """The names of the collectors, and of the routers that report peers."""
        return [f"rrc{number}" for number in self._messages.sources.numbers]

    def subscribe(self, request: Request) -> None:
        """Add subscriptions.

        Raises:
            UsageError: there are too many.
        """
        for one in request.subscriptions:
            self.subscriptions.add(one)
        if request.options is not None:
            self.subscriptions.options = request.options
        self._subscribed = asyncio.get_running_loop().time()
        self.has_subscribed.set()

    async def lines(self, live: Live, playback: Playback, stack: AsyncExitStack) -> AsyncIterator[FollowedLine]:
        """What is stored, from now on or played back; playback begins when the client has subscribed.

        Raises:
            RefusedRequestError: there are too many listeners.
        """
        if playback.start is not None:
            stored = await stack.enter_async_context(live.since(playback.start))
            return self._in_their_time(stored, playback.speed)
        return (await stack.enter_async_context(live.listening())).lines()

    async def message(self, line: FollowedLine) -> str | None:
        """The message of a line; None if the client did not subscribe to it."""
        if not self._messages.sources.has(line.entries[0]):  # a collector, or a router, that is new
            self._messages = Messages(await Sources.of(self._archive))
        data: JsonObject | None = self._messages.of(line)
        if not data or not self.subscriptions.wants(data, prefixes_of(line)):
            return None
        raw = self._messages.raw(line) if self.subscriptions.options.includeRaw else {}
        return text("ris_message", data | raw)

    async def _in_their_time(self, lines: AsyncIterator[FollowedLine], speed: float) -> AsyncIterator[FollowedLine]:
        """What was stored, with the original pauses divided by `speed`."""
        await self.has_subscribed.wait()
        loop = asyncio.get_running_loop()
        while (wait := self._subscribed + self._patience - loop.time()) > 0:
            await asyncio.sleep(wait)
        began, first = loop.time(), None
        async for line in lines:
            first = first or line.row.ts
            due = began + (line.row.ts - first).total_seconds() / speed
            await asyncio.sleep(due - loop.time())
            yield line
