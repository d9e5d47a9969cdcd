"""How many bytes a route takes: in the store, as BSON, in the MRT file, as ExaBGP's JSON."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bson

from benchmarks.data import Table
from benchmarks.speakers import workplace
from benchmarks.stores import insert_all, store_server
from collector.store.collections import COLLECTIONS
from collector.store.driver import connect
from collector.store.mongo import Store
from schemas.stored import UpdateDocument

_JOURNAL = ("WiredTigerLog", "WiredTigerPreplog")


def measure(table: Table) -> dict[str, float]:
    """Load the table with our indexes and without any, and look at the store's files after it ended in good order."""
    documents = table.documents()
    return {
        "routes": table.routes,
        "updates": table.updates,
        "disk": asyncio.run(_load(documents, indexed=True)),
        "disk_unindexed": asyncio.run(_load(documents, indexed=False)),
        "bson": sum(len(bson.encode(document)) for document in documents),
        "json": table.lines_path.stat().st_size,
        "mrt": table.path.stat().st_size,
    }


async def _load(documents: list[UpdateDocument], *, indexed: bool) -> int:
    with workplace() as place:
        async with store_server(place) as server, Store.open(server.uri) as store:
            await store.prepare()
            if not indexed:
                await _drop_indexes(server.uri)
            await insert_all(store, documents)
        return _size(place / "store")


async def _drop_indexes(uri: str) -> None:
    async with connect(uri, "pymongo", timeout=5) as client:
        for collection in COLLECTIONS:
            await client["bgpledger"][collection.name].drop_indexes()


def _size(directory: Path) -> int:
    """Bytes on disk, of the files that hold data: the journal is not counted."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files if not file.name.startswith(_JOURNAL))
