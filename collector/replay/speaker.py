"""One BGP session over TCP, from its OPEN to its end, as a speaker that only sends (RFC 4271 section 8).

Messages from the other side are read at all times, even while it does not accept ours: a full TCP window makes
`SpeakerSession.send` wait, and nothing is buffered here.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from collector.bgp import messages as bgp
from collector.bgp.notifications import (
    BAD_PEER_AS,
    CEASE,
    CONNECTION_COLLISION,
    CONNECTION_REJECTED,
    HOLD_TIMER_EXPIRED,
    MESSAGE_HEADER_ERROR,
    NOT_SYNCHRONIZED,
    OPEN_ERROR,
    OUT_OF_RESOURCES,
    UNACCEPTABLE_HOLD_TIME,
    UNSUPPORTED_CAPABILITY,
    notification,
    notification_words,
)
from collector.bgp.open_messages import Abilities, missing, open_message, parse_open
from collector.errors import ReplayError

HOLD_TIME: Final = 180
"""Seconds that we offer; a session uses the smaller of both offers (RFC 4271 section 4.2)."""

_READ_SIZE: Final = 64 * 1024
_PASSING: Final = {CONNECTION_REJECTED, CONNECTION_COLLISION, OUT_OF_RESOURCES}


@dataclass(frozen=True, slots=True)
class SessionCall:
    """The parameters of a session.

    Attributes:
        name: whose session this is, for messages to the user.
        target: IPv4 address and port of the daemon.
        source: IPv4 address that we connect from.
        asn: our AS number.
        router_id: our BGP identifier.
        abilities: what both sides must support.
        peer_as: the AS number that the daemon must have; None: any.
    """

    name: str
    target: tuple[str, int]
    source: str
    asn: int
    router_id: str
    abilities: Abilities
    peer_as: int | None = None

    def failed(self, what: str, cure: str = "") -> ReplayError:
        """An error that names the peer and the daemon."""
        host, port = self.target
        return ReplayError(f"peer {self.name} at {host}:{port}: {what}", cure)


class NotReadyError(ReplayError):
    """The daemon refuses us, perhaps only for now: it still has an older connection, or is not ready yet."""


class SpeakerSession:
    """An established session; made by `collector.replay.connecting.connect`."""

    def __init__(self, call: SessionCall, connection: socket.socket) -> None:
        self._call = call
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._hold_time = HOLD_TIME
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._writing = asyncio.Lock()
        self._last_sent = 0.0
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def abilities(self) -> Abilities:
        """What was negotiated."""
        return self._call.abilities

    async def establish(self) -> None:
        """The handshake: OPEN and KEEPALIVE in both directions.

        Raises:
            ReplayError: the other side refuses, or has another AS number.
        """
        call = self._call
        try:
            await self._write(open_message(call.asn, HOLD_TIME, call.router_id, call.abilities))
            self._check_open(await self._expect(bgp.OPEN))
            await self._write(bgp.KEEPALIVE)
            await self._expect(bgp.KEEPALIVE_TYPE)
        except OSError:
            self._closed_early()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Keep the session alive by tasks of this group; they raise ReplayError when the other side ends it."""
        self._tasks = [group.create_task(self._receive(), name=f"receive {self._call.name}")]
        if self._hold_time:
            self._tasks.append(group.create_task(self._keep_alive(), name=f"keepalive {self._call.name}"))

    async def send(self, data: bytes) -> None:
        """Send whole messages; waits while the other side's window is full."""
        try:
            await self._write(data)
        except OSError:
            # The receiving task still reads why the connection broke; it raises that, and ends this one.
            await asyncio.Event().wait()

    async def end(self, notification: bytes) -> None:
        """End the session so that the other side reads everything that was sent before.

        The NOTIFICATION is sent last, then our side of the connection is shut down; the other side closes its own when
        it has read that far. Closing ours before that could reset the connection and lose unread data.

        Args:
            notification: the whole message.

        Raises:
            ReplayError: the other side rejected what it read last.
        """
        self._ending = True
        receiving, *others = self._tasks
        for task in others:
            task.cancel()
        with suppress(OSError):
            await self._write(notification)
            self._socket.shutdown(socket.SHUT_WR)
        await asyncio.wait([receiving])
        self._socket.close()

    async def leave(self, notification: bytes, patience: float) -> None:
        """End the session within some seconds, whether or not the other side has read everything."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(OSError):
            async with asyncio.timeout(patience):
                await self._write(notification)
                self._socket.shutdown(socket.SHUT_WR)
                while await self._loop.sock_recv(self._socket, _READ_SIZE):
                    pass
        self._socket.close()

    async def _receive(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._hold_time or None):
                    kind, body = await self._message()
            except (TimeoutError, OSError, EOFError) as error:
                if self._ending:
                    return
                self._lost(error)
            if kind == bgp.NOTIFICATION:
                raise self._call.failed(
                    f"the daemon ended the session: {notification_words(body)}", "Its log may tell more."
                )

    def _lost(self, error: Exception) -> NoReturn:
        if isinstance(error, TimeoutError):
            self._refuse(HOLD_TIMER_EXPIRED, 0)
            raise self._call.failed(
                f"the hold timer expired: nothing came from the daemon for {self._hold_time} seconds",
                "Does it still run?",
            )
        raise self._call.failed(
            "the daemon closed the connection without a NOTIFICATION", "Does it still run? Its log may tell more."
        )

    async def _keep_alive(self) -> None:
        interval = self._hold_time / 3
        while True:
            wait = self._last_sent + interval - self._loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self.send(bgp.KEEPALIVE)

    def _check_open(self, body: bytes) -> None:
        call = self._call
        try:
            theirs = parse_open(body)
        except ValueError as error:
            self._refuse(OPEN_ERROR, 0)
            raise call.failed(f"its OPEN cannot be understood: {error}", "Is this a BGP-4 daemon?") from None
        if call.peer_as not in (None, theirs.asn):
            self._refuse(OPEN_ERROR, BAD_PEER_AS)
            raise call.failed(
                f"the daemon has AS {theirs.asn}, not {call.peer_as}", f"Give --peer-as {theirs.asn}, or leave it out."
            )
        if theirs.hold_time in (1, 2):
            self._refuse(OPEN_ERROR, UNACCEPTABLE_HOLD_TIME)
            raise call.failed(
                f"the daemon wants a hold time of {theirs.hold_time} seconds", "RFC 4271 allows 0, or 3 and more."
            )
        if lacks := missing(call.abilities, theirs.abilities):
            self._refuse(OPEN_ERROR, UNSUPPORTED_CAPABILITY)
            raise call.failed(
                f"the file's messages need what the daemon does not offer: {', '.join(lacks)}",
                f"Enable it at the daemon for its neighbour {call.source}.",
            )
        self._hold_time = min(HOLD_TIME, theirs.hold_time)

    def _refuse(self, code: int, subcode: int) -> None:
        """Send the other side the reason for leaving, if it accepts that at once."""
        if not self._unsent:
            with suppress(OSError):
                self._socket.send(notification(code, subcode))

    async def _expect(self, wanted: int) -> bytes:
        """The body of the next message of the handshake."""
        try:
            kind, body = await self._message()
        except (OSError, EOFError):
            self._closed_early()
        if kind == bgp.NOTIFICATION:
            words = f"the daemon refused the session: {notification_words(body)}"
            if body[:1] == bytes((CEASE,)) and body[1:2] and body[1] in _PASSING:
                raise NotReadyError(words, self._neighbour_cure())
            raise self._call.failed(words, self._neighbour_cure())
        if kind != wanted:
            raise self._call.failed(
                f"the daemon sent a message of type {kind} instead of {wanted} in its handshake", "Is it a BGP daemon?"
            )
        return body

    def _closed_early(self) -> NoReturn:
        raise NotReadyError(
            "the daemon closed the connection before the session was up", self._neighbour_cure()
        ) from None

    def _neighbour_cure(self) -> str:
        return f"Is {self._call.source} with AS {self._call.asn} a neighbour there? `--plan` lists all that are needed."

    async def _message(self) -> tuple[int, bytes]:
        """Type and body of the next message.

        Raises:
            EOFError: the other side has closed.
            OSError: the connection is broken.
            ReplayError: the data is not BGP.
        """
        while True:
            if len(self._received) >= bgp.HEADER_LENGTH:
                length = int.from_bytes(self._received[16:18])
                if not self._received.startswith(bgp.MARKER) or length < bgp.HEADER_LENGTH:
                    self._refuse(MESSAGE_HEADER_ERROR, NOT_SYNCHRONIZED)
                    raise self._call.failed("the answer is not BGP", "Does a BGP daemon listen there? Check --to.")
                if len(self._received) >= length:
                    message = bytes(self._received[:length])
                    del self._received[:length]
                    return message[18], message[bgp.HEADER_LENGTH :]
            chunk = await self._loop.sock_recv(self._socket, _READ_SIZE)
            if not chunk:
                raise EOFError
            self._received += chunk

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            # A write that was cancelled half-way has left part of a message, which must be sent first.
            await self._flush()
            self._unsent = memoryview(data)
            await self._flush()

    async def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                await self._writable()
                continue
            self._unsent = self._unsent[sent:]
            self._last_sent = self._loop.time()

    async def _writable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(self._socket)
