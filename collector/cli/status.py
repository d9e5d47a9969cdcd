"""`bgpledger status`: how the collector does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.cli.options import FormatOfStatus, with_settings
from collector.errors import CollectorError, SpoolError, StoreError
from collector.present.names import StatusFormat

if TYPE_CHECKING:
    from collector.settings import Settings
    from schemas.query import CollectorStatus


@with_settings
def command(settings: Any, form: FormatOfStatus = "table") -> None:
    """Show lines read, stored, rejected and waiting, the lag, the store, and versions.

    Exits with 1 when no collector runs, nothing can be stored or new lines are dropped: a health check.
    """
    import asyncio

    from schemas.scalars import spoken

    found = asyncio.run(_look(settings, form))
    if found.state != "running":
        raise CollectorError(f"no collector runs on {settings.data_dir}", "start one: bgpledger run")
    if found.spool_full:
        raise SpoolError(
            f"the spool has no room, new lines are dropped, {found.spool_full}",
            "make room on its disk, or mend the store if that is away, or raise spool.limit_mib",
        )
    if found.store.startswith("unreachable"):
        raise StoreError(f"the store does not answer; {found.waiting} lines wait in the spool", "see the log")
    if found.store_away_since:
        raise StoreError(
            f"nothing is stored since {spoken(found.store_away_since)} UTC: {found.last_error};"
            f" {found.waiting} lines wait in the spool",
            "see the log for the cure; nothing is lost meanwhile",
        )


async def _look(settings: Settings, form: StatusFormat) -> CollectorStatus:
    import sys
    from collections.abc import AsyncIterator
    from contextlib import AsyncExitStack, suppress

    from pydantic import BaseModel

    from collector.errors import StoreUnavailableError
    from collector.present.formats import write
    from collector.query.find_store import find_store
    from collector.query.peers import peers_here
    from collector.query.status import status
    from schemas.query import CollectorStatus

    async def facts() -> AsyncIterator[BaseModel]:
        yield found
        if form == "prometheus" and store:
            with suppress(StoreError):  # the status has it
                async for peer in peers_here(store, settings.data_dir):
                    yield peer

    async with AsyncExitStack() as stack:
        store = None
        with suppress(StoreUnavailableError):  # the status has it; who watches by Prometheus only looks
            opening = find_store(settings, at_rest=form != "prometheus")
            store = await stack.enter_async_context(opening)
        found = await status(settings.data_dir, store)
        await write(facts(), CollectorStatus, form, sys.stdout)
    return found
