"""The embedded store by itself."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collector.store import embedded
from collector.store.mongo import Store

STORE = os.environ.get("STORE") or None
"""`mongodb.embedded`; None: the server that pip installs."""
_BATCH = 250
"""As `archive.batch_lines` has it."""


@asynccontextmanager
async def store_server(place: Path) -> AsyncIterator[embedded.EmbeddedStore]:
    """A server whose files are in `place`/store."""
    server = await embedded.start(place, STORE)
    try:
        yield server
    finally:
        await server.stop()


async def insert_all(store: Store, documents: Sequence[dict[str, Any]]) -> None:
    """Write UPDATEs as the archiver does, a batch after the other."""
    for first in range(0, len(documents), _BATCH):
        await store.insert("updates", documents[first : first + _BATCH])
