"""An archive for RIS Live's clients, and a server that answers for it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from bgpledger import Archive
from collector.http.app import make_app
from collector.http.server import _configured, _listening, _Server
from collector.store.driver import Document
from collector.store.mongo import Store
from tests.http.conftest import Filled
from tests.running import free_port
from tests.store.test_asking import archive
from tests.support import Router

PREFIX, HALF, TWICE, EIGHT = "203.0.113.0/24", "203.0.113.128/25", "203.0.112.0/23", "10.0.0.0/8"
LAST = "198.51.100.99"
"""The peer of the last messages of all."""


def collected() -> dict[str, list[bytes]]:
    """The lines of two collectors, one after the other: with a set of ASes, prepended ASes, and both families."""
    first, second = Router("192.0.2.1", 64500, start=round(time.time()) - 60), Router("2001:db8::3", 64501)
    lines = [
        *first.up(),
        first.update(**_routes([PREFIX], 64500, 64496, med=0, community=[[64500, 1], [64511, 666]])),
        first.update(**_routes([HALF], 64500, 64499, aggregator="64499:192.0.2.9", ases=[64497, 64498])),
        first.announce(TWICE, EIGHT, path=(64500, 64500, 6450)),
        first.withdraw(PREFIX, TWICE),
        first.update(**_routes([PREFIX], 64500, 64499, 64496), withdraw={"ipv4 unicast": [{"nlri": HALF}]}),
        first.announce("0.0.0.0/0", path=(64500, 64499)),
        first.update(**_routes(["192.0.2.0/24"], 64500, ases=[64496, 64497])),
        first.down(),
    ]
    second.time = first.time
    others = [
        *second.up(),
        second.announce("2001:db8:1::/48", "2001:db8::/32", path=(64501, 64496), next_hop="2001:db8::3"),
        second.announce("::/0", path=(64501,), next_hop="2001:db8::3"),
        second.withdraw("2001:db8:1::/48"),
    ]
    last = Router(LAST, 64999, start=second.time)
    return {"one": lines, "two": [*others, *last.up(), last.announce("198.51.100.0/24")]}


def _routes(
    prefixes: Sequence[str], *path: int, ases: Sequence[int] = (), **attribute: Any
) -> dict[str, dict[str, Any]]:
    segments = {"0": {"element": "as-sequence", "value": list(path)}}
    if ases:
        segments["1"] = {"element": "as-set", "value": list(ases)}
    routes = {"192.0.2.1": [{"nlri": prefix} for prefix in prefixes]}
    return {
        "attribute": {"origin": "igp", "as-path": segments, **attribute},
        "announce": {"ipv4 unicast": routes},
    }


@contextmanager
def filled_with(uri: str, directory: Path, collectors: dict[str, list[bytes]]) -> Iterator[Filled]:
    """An archive of what some collectors received, until the block ends."""
    one = Filled(uri, f"test_{uuid.uuid4().hex[:12]}", directory)

    async def fill() -> None:
        async with Store.open(one.uri, database=one.database) as store:
            await store.prepare()
            for name, lines in collectors.items():
                await archive(directory, store, lines, name)

    asyncio.run(fill())
    yield one
    with MongoClient[Document](uri) as client:
        client.drop_database(one.database)


@asynccontextmanager
async def answering(filled: Filled) -> AsyncIterator[tuple[Archive, str]]:
    """The archive, and the address where it is answered for in this process."""
    settings = filled.settings
    listen = f"127.0.0.1:{free_port()}"
    async with Archive.found(settings) as found:
        server = _Server(_configured(make_app(found, settings), settings.http))
        with _listening(listen) as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield found, listen
            finally:
                server.stop()
                await serving
