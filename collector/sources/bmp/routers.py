"""The connected routers, one connection each, and the refused ones."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collector.sources.bmp.connection import Fault
from collector.sources.bmp.state import BmpState, ConnectedRouter, RefusedRouter

if TYPE_CHECKING:
    from collector.sources.bmp.router import RouterProtocol

LOG_AGAIN_SECONDS = 600.0
MOST_CONNECTIONS = 1000
_MOST_REFUSED = 100
"""The maximum number of addresses that are remembered, because anybody can connect."""


class Routers:
    """Who is connected.

    Args:
        log: gets a line for each router that connects, disconnects, or is refused.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.connected: dict[str, RouterProtocol] = {}
        """By address: those that speak BMP."""
        self.open: set[RouterProtocol] = set()
        """All connections, including those of strangers."""
        self._refused: dict[str, RefusedRouter] = {}
        self._logged: dict[str, float] = {}

    def enter(self, router: RouterProtocol) -> Fault | None:
        """Accept a router that speaks BMP, replacing its previous connection if that is still open.

        Returns:
            Why it is refused.
        """
        before = self.connected.get(router.address)
        if before:
            names = [one.connection.information.get("sys_name", "") for one in (before, router)]
            if all(names) and names[0] != names[1]:
                return Fault(
                    f"it calls itself {names[1]!r}, but {names[0]!r} is connected from the same address,"
                    " and their peers could not be told apart",
                    "give each router a source address of its own for BMP",
                )
            before.leave("the router connected again")
            self.log.warning("router %s connected again; its earlier connection is closed", router.address)
        self.connected[router.address] = router
        return None

    def forget(self, router: RouterProtocol) -> None:
        """Record that a router has disconnected."""
        if self.connected.get(router.address) is router:
            del self.connected[router.address]

    def refuse(self, address: str, port: int, fault: Fault) -> None:
        """Remember who was refused, and log it: once, when the cause changes, and from time to time."""
        before = self._refused.pop(address, None)
        times = before.times + 1 if before else 1
        self._refused[address] = RefusedRouter(
            address=address, last=datetime.now(UTC), times=times, cause=fault.cause, cure=fault.cure
        )
        while len(self._refused) > _MOST_REFUSED:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            self._logged.pop(oldest, None)
        now = time.monotonic()
        if not before or before.cause != fault.cause or now - self._logged[address] >= LOG_AGAIN_SECONDS:
            self._logged[address] = now
            self.log.warning("connection from %s port %d closed: %s (cure: %s)", address, port, *fault)

    def state(self) -> BmpState:
        """The state for other processes."""
        connected = [
            ConnectedRouter(
                address=router.address,
                port=router.port,
                since=router.since,
                name=router.connection.information.get("sys_name"),
                description=router.connection.information.get("sys_descr"),
                messages=router.connection.messages,
            )
            for router in self.connected.values()
        ]
        return BmpState(pid=os.getpid(), connected=connected, refused=list(self._refused.values()))
