"""One connection of a router in asyncio: accepted or refused, written to the spool, and closed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import cast

from collector.sources.bmp import events
from collector.sources.bmp.connection import Fault, RouterConnection
from collector.sources.bmp.routers import MOST_CONNECTIONS, Routers

FIRST_SECONDS = 60.0
"""A router identifies itself as soon as it is connected (RFC 7854 3.3)."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A router that is gone is detected within a minute: BMP has no messages for that."""

_NOT_ALLOWED = Fault("bmp.allow does not have its address", "add it to allow in [bmp], if it is a router of yours")
_TOO_MANY = Fault(f"{MOST_CONNECTIONS} connections are open", "see who they are (ss -tnp), and narrow bmp.allow")
_CUT = Fault("it ended within its first message", "see what connects there, and why it ends")
_SILENT = Fault(f"it said nothing for {FIRST_SECONDS:g} s", "see what connects there: a router's BMP begins by itself")


class RouterProtocol(asyncio.Protocol):
    """One connection.

    Args:
        routers: the connected routers.
        put: writes records; the receiver's own events are framed already.
        may_come: whether an address is accepted.
    """

    def __init__(self, routers: Routers, put: Callable[[list[bytes]], None], may_come: Callable[[str], bool]) -> None:
        self._routers = routers
        self._put = put
        self._may_come = may_come
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_in = False
        self.address, self.port = "", 0
        self.since = datetime.now(UTC)
        self.left = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept it until its first message, or close it."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername") or ("::", 0)
        self.address, self.port = str(ip_address(peer[0].partition("%")[0])), peer[1]
        self.connection = RouterConnection(_packed(self.address), self.port)
        self._routers.open.add(self)
        if not self._may_come(self.address):
            self._refuse(_NOT_ALLOWED)
        elif len(self._routers.open) > MOST_CONNECTIONS:
            self._refuse(_TOO_MANY)
        else:
            _keep_alive(transport.get_extra_info("socket"))
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(FIRST_SECONDS, self._refuse, _SILENT)

    def data_received(self, data: bytes) -> None:
        """Write what it sends."""
        if self._transport is None or self._transport.is_closing():
            return
        records, fault = self.connection.feed(data, time.time())
        if self.connection.messages and not self._is_in:
            fault = self._come_in() or fault
        if self._is_in:
            self._put(records)
        elif not self.connection.messages:
            self._put(records)  # also for data that is not BMP, which becomes a reject
        if fault:
            self._refuse(fault)

    def connection_lost(self, error: Exception | None) -> None:
        """Report that it has disconnected, and why."""
        self._routers.open.discard(self)
        if self._is_in:
            reason = f"{error}" if error else "the router closed it"
            self._routers.log.warning("router %s left: %s", self._name(), reason)
            self.leave(reason)
        elif self.connection.is_in_first_message:
            self._refuse(_CUT)
        if self._patience:
            self._patience.cancel()
        self.left.set()

    def leave(self, reason: str) -> None:
        """Close the connection, with an event in the spool if it is a router's, and with what it left incomplete."""
        if self._is_in:
            self._is_in = False
            self._put([*self.connection.end(time.time()), events.disconnected(self.address, self.port, reason)])
            self._routers.forget(self)
        elif self.connection.is_in_first_message:
            self._put(self.connection.end(time.time()))
        if self._transport:
            self._transport.abort()

    def _come_in(self) -> Fault | None:
        fault = self._routers.enter(self)
        if self._patience:
            self._patience.cancel()
        if fault is None:
            self._is_in = True
            self.since = datetime.now(UTC)
            self._put([events.connected(self.address, self.port)])
            self._routers.log.info("router %s is connected", self._name())
        return fault

    def _refuse(self, fault: Fault) -> None:
        self._routers.refuse(self.address, self.port, fault)
        self.leave(fault.cause)

    def _name(self) -> str:
        name = self.connection.information.get("sys_name")
        place = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return f"{name} ({place})" if name else place


def _packed(address: str) -> bytes:
    given = ip_address(address)
    return given.packed if isinstance(given, IPv6Address) else bytes(10) + b"\xff\xff" + given.packed


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
