"""Accepts BMP connections from routers, or opens them, and writes their messages to the spool first.

A router must never wait for us: some drop a station that reads too slowly. So the receiver knows nothing about routes
or MongoDB, and waits only for the disk; what has no space there is dropped, counted, and reported.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Protocol

from collector.errors import CollectorError, one_error
from collector.retry import pauses, sleep
from collector.settings.sources import BmpSettings
from collector.settings.values import split_endpoint
from collector.sources.bmp import events
from collector.sources.bmp.md5 import sign
from collector.sources.bmp.router import RouterProtocol
from collector.sources.bmp.routers import Routers
from collector.sources.bmp.state import BmpState
from collector.spool.framing import frame

log = logging.getLogger("bmp")

_BACKLOG = 128
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_TELL_SECONDS = 1.0


class Sink(Protocol):
    """Takes framed records, and waits only for the disk; see `collector.spool.intake.Intake`."""

    @property
    def is_dropping(self) -> bool:
        """Whether there was no room at the last write."""

    def write(self, data: bytes) -> None:
        """Write some records."""


class BmpReceiver:
    """All connections of one collector.

    Args:
        settings: where to listen, whom to accept, whom to connect to.
        password: of all connections; None: they are not signed.
        sink: where records go.
        tell: called now and then with the connected routers.
    """

    def __init__(
        self,
        settings: BmpSettings,
        password: bytes | None,
        sink: Sink,
        tell: Callable[[BmpState], None],
    ) -> None:
        self._settings = settings
        self._password = password
        self._sink = sink
        self._tell = tell
        self._networks = settings.networks
        self._routers = Routers(log)

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive until an event is set.

        Raises:
            CollectorError: an address to listen on is in use or not ours, or connections cannot be signed.
        """
        with one_error():
            async with self._listening(), asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._call(place, stopping)) for place in self._settings.connect]
                others.append(tasks.create_task(self._keep_telling()))
                await stopping.wait()
                for task in others:
                    task.cancel()
                for router in list(self._routers.open):
                    router.leave("the receiver was stopped")

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        servers = []
        loop = asyncio.get_running_loop()
        try:
            for address, port in self._settings.listen_places:
                listener = self._listener(address, port)
                servers.append(await loop.create_server(self._accept, sock=listener))
            log.info("listening for BMP at %s", self._settings.listen)
            yield
        finally:
            for server in servers:
                server.close()

    def _listener(self, address: str, port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in address:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for network in self._networks if self._password else ():
                if (network.version == 6) == (":" in address):
                    sign(listener, network, self._password or b"")
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise CollectorError(
                f"cannot listen for BMP at {address} port {port}: {error.strerror}", _cure(error)
            ) from None
        except CollectorError:
            listener.close()
            raise
        return listener

    def _accept(self) -> RouterProtocol:
        return RouterProtocol(self._routers, self._put, self._may_come)

    def _may_come(self, address: str) -> bool:
        given = ip_address(address)
        return any(given.version == one.version and given in one for one in self._networks)

    def _put(self, records: list[bytes]) -> None:
        """Write records, in one piece; when there is room again, make all routers send their tables again."""
        was_dropping = self._sink.is_dropping
        self._sink.write(b"".join(one if one.startswith(events.MARK) else frame(one) for one in records))
        if was_dropping and not self._sink.is_dropping:
            asyncio.get_running_loop().call_soon(self._begin_again)

    def _begin_again(self) -> None:
        log.warning("closing the routers' connections, so that they connect again and send what was dropped")
        for router in list(self._routers.connected.values()):
            router.leave("some of what it said was dropped: it is to send its tables again")

    async def _call(self, place: str, stopping: asyncio.Event) -> None:
        """Connect to a router that listens, again and again."""
        address, port = split_endpoint(place)
        waits = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.1)
        last_error = ""
        while True:
            try:
                router = await self._connected(address, port)
            except OSError as error:
                if (why := os.strerror(error.errno) if error.errno else str(error)) != last_error:
                    log.warning("cannot connect to %s: %s; trying until it succeeds", place, why)
                    last_error = why
            else:
                last_error, waits = "", pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.1)
                await router.left.wait()
            await sleep(next(waits), unless=stopping)

    async def _connected(self, address: str, port: int) -> RouterProtocol:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.settimeout(0)
            if self._password:
                sign(sock, ip_network(address), self._password)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (address, port))
            _, router = await loop.create_connection(
                lambda: RouterProtocol(self._routers, self._put, lambda _address: True), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        return router

    async def _keep_telling(self) -> None:
        written = None
        while True:
            if (state := self._routers.state()) != written:
                self._tell(state)
                written = state
            await asyncio.sleep(_TELL_SECONDS)


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or give another one, bmp.listen"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "it is not an address of this machine: give one that is, bmp.listen"
    return f"see who has it (ss -ltnp), or give another port, bmp.listen ({os.strerror(error.errno or 0)})"
