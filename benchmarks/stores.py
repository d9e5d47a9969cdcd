"""The embedded store by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from collector.store import embedded
from collector.store.embedded_process import EmbeddedStore
from collector.store.mongo import Store
from collector.store.writes import Writable

STORE = os.environ.get("STORE") or None
"""`mongodb.embedded`; None: the server that pip installs."""
_BATCH = 250
"""As `archive.batch_lines` has it."""


@asynccontextmanager
async def store_server(place: Path) -> AsyncIterator[EmbeddedStore]:
    """A server whose files are in `place`/store."""
    server = await embedded.start(place, STORE)
    try:
        yield server
    finally:
        await server.stop()


async def insert_all(store: Store, documents: Sequence[Writable]) -> None:
    """Write UPDATEs as the archiver does, a batch after the other."""
    for first in range(0, len(documents), _BATCH):
        await store.insert("updates", documents[first : first + _BATCH])


async def insert_together(store: Store, collection: str, documents: Sequence[Writable]) -> None:
    """Write documents in batches of the size that the store wants, and as many at once."""
    traits = await store.traits()
    free = asyncio.Semaphore(traits.batches_in_flight)

    async def write(some: Sequence[Writable]) -> None:
        try:
            await store.insert(collection, some)
        finally:
            free.release()

    async with asyncio.TaskGroup() as writing:
        for first in range(0, len(documents), traits.batch_lines):
            await free.acquire()
            writing.create_task(write(documents[first : first + traits.batch_lines]))
