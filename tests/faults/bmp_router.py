"""A router that sends BMP without end, and what an archive has of its tables."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

from collector.query.rib import RibQuery, rib
from collector.store.mongo import Store
from tests.bmp_builder import POST, PeerOf, end_of_rib, initiation, update

PEERS = [PeerOf(f"198.51.100.{number}", 64500 + number) for number in range(1, 4)]
TABLES = {"pre-policy": 0, "post-policy": POST}
_EACH = 0.005
"""Seconds between two UPDATEs."""

View = tuple[str, str]
"""A peer's address, and which table."""


class Router:
    """A router that never stops: its tables change, and it sends the changes; a new connection is sent everything.

    Args:
        port: where the station listens.
        chance: decides what it says.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self.tables: dict[View, set[str]] = {(peer.address, table): set() for peer in PEERS for table in TABLES}
        self.connections = 0
        self._port, self._chance = port, chance
        self._quiet = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.connections += 1
                try:
                    await self._tell(writer)
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(initiation("r1") + b"".join(peer.up() for peer in PEERS))
        for peer in PEERS:
            for table, flags in TABLES.items():
                for prefix in sorted(self.tables[peer.address, table]):
                    writer.write(peer.route(update(prefix), flags, time.time()))
                writer.write(peer.route(end_of_rib(), flags, time.time()))
        while True:
            await writer.drain()
            if writer.transport.is_closing():
                return
            if not self._quiet.is_set():
                writer.write(self._change())
            await asyncio.sleep(_EACH)

    def _change(self) -> bytes:
        peer, table = self._chance.choice(PEERS), self._chance.choice(list(TABLES))
        routes, prefix = self.tables[peer.address, table], f"10.0.{self._chance.randrange(100)}.0/24"
        if prefix in routes and self._chance.random() < 0.5:
            routes.remove(prefix)
            return peer.route(update(withdraw=[prefix]), TABLES[table], time.time())
        routes.add(prefix)
        return peer.route(update(prefix), TABLES[table], time.time())

    def be_quiet(self) -> None:
        """Stop changing the tables."""
        self._quiet.set()

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def archived_routes(store: Store) -> dict[View, set[str]]:
    """The archived routes, now or, if the collector was stopped, at its last moment: uncertain since, not ended."""
    routes: dict[View, set[str]] = {(peer.address, table): set() for peer in PEERS for table in TABLES}
    async for route in rib(store, RibQuery()):
        if route.peer.rib and route.prefix and route.state != "unknown":
            routes[route.peer.address, route.peer.rib].add(route.prefix)
    return routes
