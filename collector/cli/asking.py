"""What the commands that ask have in common: finding the store, and writing the answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from collector.errors import StoreUnavailableError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from collector.present.formats import Format
    from collector.settings import Settings
    from collector.store.mongo import Store


def find_store(settings: Settings) -> Store:
    """The store that the settings name, or that of the collector which runs on their data directory.

    Raises:
        StoreUnavailableError: neither is there.
    """
    from collector.query.running import find_running
    from collector.store.mongo import Store

    uri = settings.mongodb.uri.get_secret_value() if settings.mongodb.uri else None
    if uri is None:
        running = find_running(settings.data_dir)
        uri = running.mongodb_uri if running else None
    if uri is None:
        raise StoreUnavailableError(
            f"no collector runs on {settings.data_dir}, and no MongoDB URI is given",
            "start one (bgpledger run), name its --data-dir, or give --mongodb-uri",
        )
    return Store.open(uri, database=settings.mongodb.database, driver=settings.mongodb.driver)


def answer(
    settings: Settings,
    ask: Callable[[Store], AsyncIterator[Any]],
    kind: type[BaseModel],
    form: Format,
) -> int:
    """Ask the store, write the answers to stdout, and say how many there were."""
    from collector.present.formats import write

    async def ask_and_write() -> int:
        async with find_store(settings) as store:
            return await write(ask(store), kind, form, sys.stdout)

    return asyncio.run(ask_and_write())
