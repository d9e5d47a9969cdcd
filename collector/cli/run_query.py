"""What the commands that ask have in common: finding the store, and writing the answers."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from collector.errors import StoreUnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from collector.present.names import Format
    from collector.query.filters import Filter
    from collector.settings import Settings
    from collector.store.mongo import Store

_FLUSH_SECONDS = 0.1
_COLLECT_EVERY = 50_000
"""Objects more than before."""


@asynccontextmanager
async def find_uri(settings: Settings, *, at_rest: bool = True) -> AsyncIterator[tuple[str, str]]:
    """Where the store is that the settings name, or the collector which runs on their data directory, or ran there.

    Args:
        settings: which store.
        at_rest: start the embedded store that a collector left there, for as long as this takes.

    A collector whose store needs secrets tells only the name of its configuration: who may read that may ask.

    Returns:
        Its URI, and the name of the database.

    Raises:
        StoreError: there is none, or it does not start.
    """
    from collector.query.at_rest import has_store, opened
    from collector.query.running import find_running
    from collector.settings import load

    mongodb = settings.mongodb
    running = find_running(settings.data_dir) if mongodb.uri is None else None
    if running and not running.mongodb_uri and running.config:
        mongodb = load(running.config, data_dir=settings.data_dir).mongodb
    if mongodb.uri is not None:
        yield mongodb.uri.get_secret_value(), mongodb.database
    elif running and running.mongodb_uri:
        yield running.mongodb_uri, running.database
    elif at_rest and has_store(settings.data_dir):
        async with opened(settings.data_dir, mongodb.embedded) as uri:
            yield uri, mongodb.database
    else:
        raise StoreUnavailableError(
            f"no collector runs on {settings.data_dir}, and no MongoDB URI is given",
            "start one (bgpledger run), name its --data-dir, or give --mongodb-uri",
        )


@asynccontextmanager
async def find_store(
    settings: Settings, *, database: str | None = None, primary: bool = False, at_rest: bool = True
) -> AsyncIterator[Store]:
    """The store that `find_uri` finds.

    Args:
        settings: which store.
        database: another one on the same server.
        primary: read from the primary, whatever the URI says; for all who write.
        at_rest: as there.

    Raises:
        StoreError: there is none, or it does not start.
    """
    from collector.store.mongo import Store

    async with find_uri(settings, at_rest=at_rest) as (uri, name):
        opening = Store.open(uri, database=database or name, driver=settings.mongodb.driver, primary=primary)
        async with opening as store:
            yield store


def answer(
    settings: Settings,
    ask: Callable[[Store], AsyncIterator[Any]],
    kind: type[BaseModel],
    form: Format,
    *,
    at: datetime | None = None,
    moments: Sequence[datetime] = (),
    filters: Filter | None = None,
) -> bool:
    """Ask the store, and write the answers to stdout as they come; stderr says what the archive does not cover.

    Args:
        settings: which store.
        ask: the question.
        kind: what its answers are.
        form: how they are written.
        at: the moment at which routes stand; None: now.
        moments: others that are asked about.
        filters: what is asked for.

    Returns:
        Whether nothing was found, though the archive covers what was asked.

    Raises:
        UsageError: a moment lies in the future.
    """
    from collector.cli.covered import check_moments, check_peers
    from collector.present.formats import write
    from collector.query.running import find_running

    collect_rarely()

    start, end = (filters.start, filters.end) if filters else (None, None)
    asked = [moment for moment in (at, *moments, start) if moment is not None]

    async def ask_and_write() -> bool:
        async with find_store(settings) as store:
            covered = await check_moments(store, asked, end)
            if filters:
                running = find_running(settings.data_dir)
                await check_peers(store, filters, running.peers if running else ())
            count = await write(ask(store), kind, form, sys.stdout, at=at)
            return covered and not count

    return asyncio.run(_flushing(ask_and_write()))


def show(answers: Sequence[BaseModel], kind: type[BaseModel], form: Format) -> None:
    """Write answers that are there already to stdout.

    Args:
        answers: what is written.
        kind: what all of them are.
        form: how they are written.
    """
    from collector.present.formats import write

    async def each() -> AsyncIterator[BaseModel]:
        for one in answers:
            yield one

    asyncio.run(write(each(), kind, form, sys.stdout))


def say(said: str) -> None:
    """Tell whoever asks, on stderr."""
    sys.stderr.write(f"{said}\n")


def collect_rarely() -> None:
    """Tell Python that answers, which come and go by the thousand, have no cycles: to look for some takes a fifth."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


async def _flushing(work: Coroutine[Any, Any, bool]) -> bool:
    """Let what is written be seen soon, into a pipe too; and end the work when nobody reads it any more."""
    working = asyncio.create_task(work)
    flushing = asyncio.create_task(_flush_on_and_on())
    try:
        await asyncio.wait((working, flushing), return_when=asyncio.FIRST_COMPLETED)
        if flushing.done():
            await flushing
        found = await working
        sys.stdout.flush()
        return found
    finally:
        await _end(working, flushing)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended: a driver that is just connecting may swallow a cancellation."""
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=_FLUSH_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _flush_on_and_on() -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        sys.stdout.flush()
