"""`/v1/ws/`: the WebSocket, whose client subscribes and unsubscribes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from bgpledger import BgpledgerError, UsageError
from collector.http.live import SEND_SECONDS, SlowError
from collector.http.query_context import QueryContext
from collector.http.rislive.feed import Feed, Playback, error_text, text
from collector.http.rislive.subscriptions import Request
from collector.query.follow import FollowedLine
from collector.tasks import end

router = APIRouter()

_Begin = Annotated[str | None, Query(alias="from")]
_PATIENCE = 0.5
"""Seconds: BGPalerter subscribes to a prefix every 0.2 s."""
_TRY_AGAIN_LATER, _POLICY_VIOLATION = 1013, 1008


@router.websocket("/v1/ws/")
@router.websocket("/v1/ws")
async def ris_live(socket: WebSocket, begin: _Begin = None, speed: str = "1") -> None:
    """Messages that match the subscriptions; with `from`, those since then, `speed` times as fast as they came.

    A client that is too slow for them is told so, and disconnected.
    """
    context = QueryContext.of(socket)
    await socket.accept()
    try:
        playback = Playback.parse(begin, speed)
        async with AsyncExitStack() as stack:
            feed = await Feed.open(context.archive, _PATIENCE)
            await _Client(socket, feed).run(await feed.lines(context.live, playback, stack))
    except (BgpledgerError, SlowError) as error:
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await socket.send_text(error_text(error))
                await socket.close(_TRY_AGAIN_LATER if isinstance(error, SlowError) else _POLICY_VIOLATION)


class _Client:
    """The client of the socket."""

    def __init__(self, socket: WebSocket, feed: Feed) -> None:
        self._socket = socket
        self._feed = feed

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
            if message := await self._feed.message(line):
                await self._send(message)

    async def _listen(self) -> None:
        while True:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            try:
                await self._answer(frame.get("text") or "")
            except UsageError as error:
                await self._send(error_text(error))

    async def _answer(self, said: str) -> None:
        try:
            request = json.loads(said)
            kind, data = request["type"], request.get("data")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UsageError(
                "that is not an object with a type", 'send {"type": "ris_subscribe", "data": {}}'
            ) from None
        if kind == "ris_subscribe":
            await self._subscribe(Request.parse(data))
        elif kind == "ris_unsubscribe":
            for one in Request.parse(data).subscriptions:
                self._feed.subscriptions.remove(one)
        elif kind == "request_rrc_list":
            await self._send(text("ris_rrc_list", self._feed.collectors))
        elif kind == "ping":
            await self._send(text("pong", data))
        else:
            known = "ris_subscribe, ris_unsubscribe, request_rrc_list or ping"
            raise UsageError(f"there is no message of type {str(kind)[:40]!r}", f"send {known}")

    async def _subscribe(self, request: Request) -> None:
        """Subscribe, and acknowledge each prefix if the client wants it, with the conditions it gave."""
        self._feed.subscribe(request)
        options = self._feed.subscriptions.options
        if options.acknowledge:
            for one in request.subscriptions:
                given = one.model_dump(exclude_unset=True)
                await self._send(
                    text("ris_subscribe_ok", {"subscription": given, "socketOptions": options.model_dump()})
                )

    async def _send(self, message: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_text(message)
        except TimeoutError:
            raise SlowError from None
