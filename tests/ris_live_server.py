"""A server that speaks RIS Live's protocol as RIPE NCC documents it: for tests only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from schemas.json_object import JsonObject

Say = Callable[["Listener"], Awaitable[None]]
_FILTERS = {"host", "type", "require", "peer", "path", "prefix", "moreSpecific", "lessSpecific", "socketOptions"}


class Listener:
    """One connection, once it has subscribed.

    Args:
        connection: the connection.
        subscription: what it asked for.
        client: by which name it came.
    """

    def __init__(self, connection: ServerConnection, subscription: JsonObject, client: str) -> None:
        self.connection, self.subscription, self.client = connection, subscription, client

    async def send(self, kind: str, data: JsonObject | None) -> None:
        await self.connection.send(json.dumps({"type": kind, "data": data}))

    async def tell(self, peer: str, asn: int, host: str, kind: str, time: float, **more: Any) -> None:
        """Send a ris_message; without includeRaw it has no bytes."""
        if not self.subscription.get("socketOptions", {}).get("includeRaw"):
            more.pop("raw", None)
        data = {
            "timestamp": time,
            "peer": peer,
            "peer_asn": str(asn),
            "id": f"{peer}-{time}",
            "host": host,
            "type": kind,
        }
        await self.send("ris_message", {**data, **more})

    async def break_off(self, text: str) -> None:
        """End the connection within a message."""

        async def half() -> AsyncIterator[str]:
            yield text[: len(text) // 2]
            await asyncio.sleep(0.05)
            self.connection.transport.abort()
            await asyncio.sleep(10)
            yield ""

        with suppress(ConnectionClosed):
            await self.connection.send(half())


@asynccontextmanager
async def ris_live(*script: Say) -> AsyncIterator[tuple[str, list[Listener]]]:
    """A server; each connection gets the next thing to be said, the last one for all that follow.

    Yields:
        Its URL, and who has subscribed so far.
    """
    listeners: list[Listener] = []

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        client = parse_qs(urlsplit(connection.request.path).query)["client"][0]
        while True:
            asked = json.loads(await connection.recv())
            listener = Listener(connection, asked["data"], client)
            if asked["type"] == "ping":
                await listener.send("pong", None)
            elif asked["type"] != "ris_subscribe" or set(asked["data"]) - _FILTERS:
                await listener.send("ris_error", {"message": f"unexpected {json.dumps(asked)}"})
            else:
                break
        if listener.subscription.get("socketOptions", {}).get("acknowledge"):
            filters = {name: value for name, value in listener.subscription.items() if name != "socketOptions"}
            await listener.send("ris_subscribe_ok", {"subscription": filters, "socketOptions": {}})
        listeners.append(listener)
        await script[min(len(listeners), len(script)) - 1](listener)

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/ws/", listeners
