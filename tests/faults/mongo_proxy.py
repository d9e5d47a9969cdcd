"""A proxy between a client and a real MongoDB server: passes everything on, and injects the faults it is told to.

It speaks as much of MongoDB's wire protocol as is needed to tell writes from everything else: OP_MSG
(https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/). No fault pretends that a write succeeded: a
refused one is not passed on, so an archiver that believes it was written loses it.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import bson

from collector.store import credentials

OP_MSG = 2013
MORE_TO_COME = 2
_HEADER = struct.Struct("<iiii")
_WRITES = {"insert", "update", "delete", "findAndModify", "create", "createIndexes", "collMod", "dropIndexes"}


class Message(NamedTuple):
    """One message of the wire protocol, whole."""

    raw: bytes

    @property
    def is_write(self) -> bool:
        return self.command in _WRITES

    @property
    def is_hello(self) -> bool:
        return self.command in (None, "hello", "ismaster", "isMaster")

    @property
    def command(self) -> str | None:
        """The name of the command; None for messages older than OP_MSG."""
        return next(iter(self.body)) if self._opcode == OP_MSG else None

    @property
    def more_to_come(self) -> bool:
        return self._opcode == OP_MSG and bool(struct.unpack_from("<I", self.raw, 16)[0] & MORE_TO_COME)

    @property
    def body(self) -> dict[str, Any]:
        """The section of kind 0: the command without the documents that it writes."""
        at = 20
        while self.raw[at]:
            at += 1 + struct.unpack_from("<i", self.raw, at + 1)[0]
        found: dict[str, Any] = bson.decode(self.raw[at + 1 : at + 1 + struct.unpack_from("<i", self.raw, at + 1)[0]])
        return found

    @property
    def documents(self) -> int:
        """How many documents its sections of kind 1 hold."""
        at, count = 20, 0
        while at < len(self.raw):
            (size,) = struct.unpack_from("<i", self.raw, at + 1)
            if self.raw[at]:
                start = self.raw.index(b"\0", at + 5) + 1
                count += len(bson.decode_all(self.raw[start : at + 1 + size]))
            at += 1 + size
        return count

    def answer(self, document: dict[str, Any]) -> bytes:
        """A message with this answer of the server."""
        request = _HEADER.unpack_from(self.raw)[1]
        body = bytes(5) + bson.encode(document)
        return _HEADER.pack(_HEADER.size + len(body), 1, request, OP_MSG) + body

    @property
    def _opcode(self) -> int:
        return int(_HEADER.unpack_from(self.raw)[3])


class ResetConnection(Exception):
    """Raised by a fault to reset the connection, after these bytes."""

    def __init__(self, last: bytes = b"") -> None:
        super().__init__()
        self.last = last


Forward = Callable[[], Awaitable[bytes]]
Fault = Callable[[Message, Forward], Awaitable[bytes]]
"""Answers a request, which it may pass on, or raises ResetConnection."""


# --- faults -----------------------------------------------------------------------------------------------------------


async def passing(_request: Message, forward: Forward) -> bytes:
    return await forward()


async def never_answering(_request: Message, _forward: Forward) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


async def never_answering_writes(request: Message, forward: Forward) -> bytes:
    """The worst kind: the driver's monitor is told that the server lives, and the write is done."""
    answer = await forward()
    return await never_answering(request, forward) if request.is_write else answer


def never_answering_finds(collection: str) -> Fault:
    async def fault(request: Message, forward: Forward) -> bytes:
        if request.command == "find" and request.body["find"] == collection:
            return await never_answering(request, forward)
        return await forward()

    return fault


async def never_answering_what_is_asked(request: Message, forward: Forward) -> bytes:
    """The driver's monitor is told that the server lives, and nothing else is answered."""
    return await forward() if request.is_hello else await never_answering(request, forward)


def slow(seconds: float) -> Fault:
    async def fault(request: Message, forward: Forward) -> bytes:
        answer = await forward()
        if request.is_write:
            await asyncio.sleep(seconds)
        return answer

    return fault


def refusing(code: int, name: str, text: str, **more: Any) -> Fault:
    """Every write command fails as a whole."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.is_write:
            return request.answer({"ok": 0.0, "errmsg": text, "code": code, "codeName": name, **more})
        return await forward()

    return fault


def refusing_commands(commands: Collection[str], code: int, name: str) -> Fault:
    """Some commands fail, as for a user without the right, or on a server that does not know them."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.command in commands:
            text = f"{name}: {request.command}"
            return request.answer({"ok": 0.0, "errmsg": text, "code": code, "codeName": name})
        return await forward()

    return fault


def refusing_marked(mark: bytes, code: int, text: str) -> Fault:
    """A write fails as a whole when one of its documents holds the mark, as one does that is too large."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.is_write and mark in request.raw:
            return request.answer({"ok": 0.0, "errmsg": text, "code": code})
        return await forward()

    return fault


def closing_on_marked(mark: bytes, *, collections: Collection[str] = ()) -> Fault:
    """The connection is closed on a write when one of its documents holds the mark, as by a server with a bug.

    Args:
        mark: what the document holds.
        collections: only writes into these; into any, when empty.
    """

    async def fault(request: Message, forward: Forward) -> bytes:
        meant = not collections or (request.command and request.body[request.command] in collections)
        if request.is_write and meant and mark in request.raw:
            raise ResetConnection
        return await forward()

    return fault


def delaying(seconds: float) -> Fault:
    """The server is far away: everything takes this long to reach it, and as long to come back."""

    async def fault(_request: Message, forward: Forward) -> bytes:
        await asyncio.sleep(seconds)
        answer = await forward()
        await asyncio.sleep(seconds)
        return answer

    return fault


def as_member(port: Callable[[], int], primary: Callable[[], int], others: Callable[[], Sequence[int]]) -> Fault:
    """The server says that it is a member of a replica set, of which each one is a proxy of its own.

    Args:
        port: its own.
        primary: the primary's.
        others: those of all members.
    """

    async def fault(request: Message, forward: Forward) -> bytes:
        if not request.is_hello:
            return await forward()
        own = Message(await forward()).body
        leads = port() == primary()
        said: dict[str, Any] = {
            **{name: own[name] for name in ("saslSupportedMechs", "speculativeAuthenticate") if name in own},
            "ok": 1.0,
            "setName": "rs",
            "setVersion": 1,
            "hosts": [f"127.0.0.1:{one}" for one in others()],
            "primary": f"127.0.0.1:{primary()}",
            "me": f"127.0.0.1:{port()}",
            "isWritablePrimary": leads,
            "ismaster": leads,
            "secondary": not leads,
            "maxBsonObjectSize": 16 * 2**20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "minWireVersion": 0,
            "maxWireVersion": 21,
        }
        return request.answer(said)

    return fault


def refusing_each(code: int, text: str, **more: Any) -> Fault:
    """Each document of a write fails."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.is_write and (count := request.documents):
            errors = [{"index": at, "code": code, "errmsg": text, **more} for at in range(count)]
            return request.answer({"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": errors})
        return await forward()

    return fault


def refusing_one(at: int, code: int, text: str) -> Fault:
    """One document of a write fails; the others are reported as stored, but are not."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.is_write and (count := request.documents):
            error = {"index": at, "code": code, "errmsg": text}
            return request.answer({"ok": 1.0, "n": count - 1, "nModified": 0, "writeErrors": [error]})
        return await forward()

    return fault


async def resetting(request: Message, forward: Forward) -> bytes:
    if request.is_write:
        raise ResetConnection
    return await forward()


async def answering_half(request: Message, forward: Forward) -> bytes:
    """The write is done, and its answer is cut off."""
    answer = await forward()
    if request.is_write:
        raise ResetConnection(answer[: len(answer) // 2])
    return answer


async def answering_rubbish(request: Message, forward: Forward) -> bytes:
    """An answer of the right length that is no BSON, as of something that only seemed to be MongoDB."""
    answer = await forward()
    return answer[:25] + b"\xff" * (len(answer) - 25) if request.is_write else answer


async def not_durable(request: Message, forward: Forward) -> bytes:
    """Writes are reported as done, but not by a majority; then they are rolled back."""
    if request.is_write and (count := request.documents):
        error = {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"}
        return request.answer({"ok": 1.0, "n": count, "nModified": 0, "writeConcernError": error})
    return await forward()


def failing_over(chance: random.Random) -> Fault:
    """One of eight writes fails in one of the ways in which writes do while a replica set looks for a new primary."""
    stepped_down = refusing(10107, "NotWritablePrimary", "not primary", errorLabels=["RetryableWriteError"])

    async def fault(request: Message, forward: Forward) -> bytes:
        if not request.is_write or chance.random() > 1 / 8:
            return await forward()
        kind = chance.choice(["not primary", "reset", "done and reset", "half an answer"])
        if kind == "not primary":
            return await stepped_down(request, forward)
        if kind == "reset":
            raise ResetConnection
        answer = await forward()
        raise ResetConnection(answer[: chance.randrange(1, len(answer))] if kind == "half an answer" else b"")

    return fault


_NEVER = (never_answering, never_answering_writes, never_answering_what_is_asked)

# --- the proxy --------------------------------------------------------------------------------------------------------


class Proxy:
    """Listens on a port of its own for as long as it is not told to be away.

    Args:
        port: where the server listens, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.upstream = port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._fault: Fault = passing
        self.port = 0
        self.writes = 0
        """Writes that it was asked for."""
        self.commands: Counter[str | None] = Counter()
        """All that it was asked for, by name."""
        self.spoilt = 0
        """Those of them that came while a fault was on."""

    def uri(self, **options: object) -> str:
        """How to reach the server by way of this, with its password where it is an embedded store."""
        given = "".join(f"&{key}={value}" for key, value in options.items())
        here = f"mongodb://127.0.0.1:{self.port}/?directConnection=true{given}"
        login = credentials.options_for(f"mongodb://127.0.0.1:{self.upstream}/")
        return credentials.signed(here, login["password"]) if login else here

    async def listen(self) -> None:
        """Listen and accept connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_away(self) -> None:
        """Cut all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        await self._cut()

    async def set(self, fault: Fault) -> None:
        """Inject another fault from now on; requests that wait for ever are released."""
        waited = self._fault in _NEVER
        self._fault = fault
        if waited:
            await self._cut()

    async def close(self) -> None:
        await self.go_away()

    async def _cut(self) -> None:
        for client in list(self._clients):
            _reset(client)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(client)
        server: asyncio.StreamWriter | None = None
        try:
            back, server = await asyncio.open_connection("127.0.0.1", self.upstream)
            while True:
                await self._exchange(await _read(reader), back, server, client)
        except ResetConnection as wish:
            client.write(wish.last)
            with suppress(OSError):
                await client.drain()
            _reset(client)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side is gone
        finally:
            self._tasks.discard(task)
            self._clients.discard(client)
            for side in (client, server):
                if side is not None:
                    side.close()

    async def _exchange(
        self,
        request: Message,
        back: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        self.commands[request.command] += 1
        self.writes += request.is_write
        self.spoilt += request.is_write and self._fault is not passing

        async def forward() -> bytes:
            server.write(request.raw)
            await server.drain()
            return b"" if request.more_to_come else (await _read(back)).raw

        client.write(await self._fault(request, forward))
        await client.drain()


async def _read(reader: asyncio.StreamReader) -> Message:
    start = await reader.readexactly(4)
    return Message(start + await reader.readexactly(int.from_bytes(start, "little") - 4))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a machine does that has forgotten the connection."""
    end = writer.get_extra_info("socket")
    if end is not None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


@asynccontextmanager
async def proxy(port: int) -> Any:
    """A proxy for as long as the block runs."""
    one = Proxy(port)
    await one.listen()
    try:
        yield one
    finally:
        await one.close()
