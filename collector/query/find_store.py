"""Finds the store: by a given URI, from the running collector, or by starting that of a stopped one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from collector.errors import StoreUnavailableError
from collector.query.running import find_running
from collector.settings.store import StoreSettings
from collector.store.mongo import Store


@asynccontextmanager
async def find_uri(
    settings: StoreSettings, *, at_rest: bool = True, begin: bool = False, share: bool = False
) -> AsyncIterator[tuple[str, str]]:
    """The URI of the store: from the settings, or from the running or stopped collector on their data directory.

    Args:
        settings: which store.
        at_rest: start the embedded store of a stopped collector for the duration of the query.
        begin: start a new one there if there is none; for an import, which waits for others.
        share: let other commands use a store that had to be started, since this one may run for hours.

    A collector whose store needs secrets only publishes the path of its configuration: whoever may read that may query.

    Returns:
        Its URI, and the name of the database.

    Raises:
        StoreError: there is none, or it does not start.
    """
    mongodb = settings.mongodb
    running = find_running(settings.data_dir) if mongodb.uri is None else None
    if running and not running.mongodb_uri and running.config:
        from collector.settings.load import load

        mongodb = load(running.config, data_dir=settings.data_dir).mongodb
    if mongodb.uri is not None:
        yield mongodb.uri.get_secret_value(), mongodb.database
        return
    if running and running.mongodb_uri:
        yield running.mongodb_uri, running.database
        return
    from collector.query.stopped_archive import has_store, only_import, opened

    if not begin and not (at_rest and has_store(settings.data_dir)):
        raise StoreUnavailableError(
            f"no collector runs on {settings.data_dir}, and no MongoDB URI is given",
            "start one (bgpledger run), name its --data-dir, or give --mongodb-uri",
        )
    async with AsyncExitStack() as stack:
        if begin:
            await stack.enter_async_context(only_import(settings.data_dir))
        yield (
            await stack.enter_async_context(opened(settings.data_dir, mongodb.embedded, share=share)),
            mongodb.database,
        )


@asynccontextmanager
async def find_store(
    settings: StoreSettings,
    *,
    database: str | None = None,
    primary: bool = False,
    at_rest: bool = True,
    begin: bool = False,
    share: bool = False,
) -> AsyncIterator[Store]:
    """The store that `find_uri` finds.

    Args:
        settings: which store.
        database: another database on the same server.
        primary: read from the primary, whatever the URI says; for programs that write.
        at_rest: see `find_uri`.
        begin: see `find_uri`.
        share: see `find_uri`.

    Raises:
        StoreError: there is none, or it does not start.
    """
    async with find_uri(settings, at_rest=at_rest, begin=begin, share=share) as (uri, name):
        opening = Store.open(uri, database=database or name, driver=settings.mongodb.driver, primary=primary)
        async with opening as store:
            yield store
