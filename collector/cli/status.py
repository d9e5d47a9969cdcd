"""`bgpledger status`: the state of the collector and its store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from collector.cli.options import FormatOfStatus, with_settings
from collector.errors import BgpledgerError, CollectorError, SpoolError, StoreError
from collector.present.names import StatusFormat

if TYPE_CHECKING:
    from collector.settings.model import Settings
    from schemas.status import CollectorStatus

_FAR_AHEAD = timedelta(minutes=1)
"""Shorter standstills of stored time are no problem: it soon catches up."""


@with_settings
def command(settings: Any, form: FormatOfStatus = "table") -> None:
    """Show lines read, stored, rejected and waiting, the lag, each spool, the store, and versions.

    Exits with 1 when no collector runs, nothing can be stored, an archiver is stuck, new lines are dropped, or stored
    time is far ahead: a health check.
    """
    from collector.tasks import run_interruptible

    if found := trouble(run_interruptible(_look(settings, form))):
        raise found


def trouble(found: CollectorStatus) -> BgpledgerError | None:
    """What is wrong with a collector and needs attention; None if nothing is."""
    from schemas.scalars import spoken

    if found.state != "running":
        return CollectorError(f"no collector runs on {found.data_dir}", "start one: bgpledger run")
    if found.spool_full:
        return SpoolError(
            f"the spool is full, and new lines are dropped, {found.spool_full}",
            "make room on its disk, repair the store if that is down, or raise spool.limit_mib",
        )
    if found.store.startswith("unreachable"):
        return StoreError(f"the store does not answer; {found.waiting} lines wait in the spool", "see the log")
    if found.store_away_since:
        return StoreError(
            f"nothing is stored since {spoken(found.store_away_since)} UTC: {found.last_error};"
            f" {found.waiting} lines wait in the spool",
            "see the log for the cure; nothing is lost meanwhile",
        )
    from collector.query.archivers import stuck

    for spool in found.spools:
        if problem := stuck(spool, found.started):
            return CollectorError(
                problem,
                "see the log; if the process hangs, kill -9 ends it, and another is started",
            )
    if found.clock_set_back and found.clock_set_back - datetime.now(UTC) > _FAR_AHEAD:
        return CollectorError(
            f"stored time stands still at {spoken(found.clock_set_back)} UTC, in the future: the clock was set back",
            "see bgpledger doctor",
        )
    return None


async def _look(settings: Settings, form: StatusFormat) -> CollectorStatus:
    import sys
    from collections.abc import AsyncIterator
    from contextlib import suppress

    from pydantic import BaseModel

    from bgpledger.archive import Archive
    from collector.present.formats import write
    from schemas.status import CollectorStatus

    async def facts() -> AsyncIterator[BaseModel]:
        yield found
        if form == "prometheus":
            with suppress(StoreError):  # shown in the status
                async for peer in archive.peers():
                    yield peer

    # Prometheus only looks: the store of a collector that does not run is not started.
    async with Archive.looked_at(settings, at_rest=form != "prometheus") as archive:
        found = await archive.status()
        await write(facts(), CollectorStatus, form, sys.stdout)
    return found
