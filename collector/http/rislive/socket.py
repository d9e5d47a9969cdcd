"""The WebSocket: its client's subscriptions, and the messages sent to it, live or from the past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from bgpledger import BgpledgerError, UsageError, parse_time
from collector.http.live import SEND_SECONDS, SlowError
from collector.http.query_context import QueryContext
from collector.http.ripestat.sources import Sources
from collector.http.rislive.messages import Messages, prefixes_of
from collector.http.rislive.subscriptions import Subscriptions, parse
from collector.query.follow import FollowedLine
from collector.tasks import end

router = APIRouter()

_FASTEST = 1_000_000
_TRY_AGAIN_LATER, _POLICY_VIOLATION = 1013, 1008
_Time = Annotated[str | None, Query(alias="from")]


@router.websocket("/v1/ws/")
@router.websocket("/v1/ws")
async def ris_live(socket: WebSocket, begin: _Time = None, speed: str = "1") -> None:
    """Messages that match the subscriptions; with `from`, those since then, `speed` times as fast as they came.

    A client that is too slow for them is told so, and disconnected.
    """
    context = QueryContext.of(socket)
    await socket.accept()
    try:
        times = _times(speed)
        async with AsyncExitStack() as stack:
            client = _Client(socket, await Sources.of(context.archive))
            await client.run(await _lines(context, stack, begin, times, client.has_subscribed))
    except (BgpledgerError, SlowError) as error:
        reason = str(error) or "messages come faster than they are read: subscribe to less, or read faster"
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await socket.send_text(_error(reason))
                await socket.close(_TRY_AGAIN_LATER if isinstance(error, SlowError) else _POLICY_VIOLATION)


async def _lines(
    context: QueryContext, stack: AsyncExitStack, begin: str | None, speed: float, has_subscribed: asyncio.Event
) -> AsyncIterator[FollowedLine]:
    start = parse_time(begin)
    if start is not None:
        lines = await stack.enter_async_context(context.live.since(start))
        return _in_their_time(lines, speed, has_subscribed)
    listener = await stack.enter_async_context(context.live.listening())

    async def each() -> AsyncIterator[FollowedLine]:
        while True:
            yield await listener.get()

    return each()


async def _in_their_time(
    lines: AsyncIterator[FollowedLine], speed: float, has_subscribed: asyncio.Event
) -> AsyncIterator[FollowedLine]:
    """What was stored, with the original pauses divided by `speed`; it begins when the client subscribes."""
    await has_subscribed.wait()
    loop = asyncio.get_running_loop()
    began, first = loop.time(), None
    async for line in lines:
        first = first or line.row.ts
        due = began + (line.row.ts - first).total_seconds() / speed
        await asyncio.sleep(due - loop.time())
        yield line


def _times(speed: str) -> float:
    try:
        times = float(speed)
    except ValueError:
        times = 0.0
    if not 0 < times <= _FASTEST:
        raise UsageError(f"speed={speed[:40]} is not a number", f"give a number from 0 to {_FASTEST}")
    return times


def _error(text: str) -> str:
    return json.dumps({"type": "ris_error", "data": {"message": text}})


class _Client:
    """The client of the socket."""

    def __init__(self, socket: WebSocket, sources: Sources) -> None:
        self._socket = socket
        self._sources = sources
        self._messages = Messages(sources)
        self._subscriptions = Subscriptions()
        self.has_subscribed = asyncio.Event()

    async def run(self, lines: AsyncIterator[FollowedLine]) -> None:
        """Send and receive until the client leaves.

        Raises:
            SlowError: it is too slow for what is sent.
            BgpledgerError: the archive cannot be followed.
        """
        sending, listening = asyncio.create_task(self._forward(lines)), asyncio.create_task(self._listen())
        try:
            done, _ = await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                with suppress(WebSocketDisconnect):
                    await one
        finally:
            await end(sending, listening)

    async def _forward(self, lines: AsyncIterator[FollowedLine]) -> None:
        async for line in lines:
            data = self._messages.of(line)
            if data and self._subscriptions.wants(data, prefixes_of(line)):
                raw = self._messages.raw(line) if self._subscriptions.include_raw else {}
                await self._say("ris_message", data | raw)

    async def _listen(self) -> None:
        while True:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            try:
                await self._answer(frame.get("text") or "")
            except UsageError as error:
                await self._send(_error(f"{error.cause} ({error.cure})"))

    async def _answer(self, text: str) -> None:
        try:
            request = json.loads(text)
            kind, data = request["type"], request.get("data")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UsageError(
                "that is not an object with a type", 'send {"type": "ris_subscribe", "data": {}}'
            ) from None
        if kind == "ris_subscribe":
            one, options = parse(data)
            self._subscriptions.add(one)
            self._subscriptions.include_raw |= options.includeRaw
            self.has_subscribed.set()
            if options.acknowledge:
                subscription = one.model_dump(exclude_none=True, exclude_defaults=True)
                await self._say(
                    "ris_subscribe_ok", {"subscription": subscription, "socketOptions": options.model_dump()}
                )
        elif kind == "ris_unsubscribe":
            one, _ = parse(data)
            self._subscriptions.remove(one)
            await self._say("ris_unsubscribe_ok", {"subscription": one.model_dump(exclude_none=True)})
        elif kind == "request_rrc_list":
            await self._say("ris_rrc_list", [f"rrc{number}" for number in self._sources.numbers])
        elif kind == "ping":
            await self._say("pong", data)
        else:
            known = "ris_subscribe, ris_unsubscribe, request_rrc_list or ping"
            raise UsageError(f"there is no message of type {str(kind)[:40]!r}", f"send {known}")

    async def _say(self, kind: str, data: Any) -> None:
        await self._send(json.dumps({"type": kind, "data": data}))

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_text(text)
        except TimeoutError:
            raise SlowError from None
