"""`bgpledger receive-ris`: receives RIS Live; `run` starts it if [ris_live] has a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from collector.cli.options import DataDir, chosen
from collector.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from collector.settings.sources import RisLiveSettings
    from collector.spool.spool import Intake


def command(ctx: typer.Context, data_dir: DataDir = None) -> None:
    """Write messages from RIS Live to a spool, until stopped. `bgpledger run` starts this; people rarely do.

    It is configured by environment variables: BGPLEDGER_RIS_LIVE_URL, BGPLEDGER_RIS_LIVE_CLIENT,
    BGPLEDGER_RIS_LIVE_SUBSCRIBE.
    """
    import asyncio

    from collector.instances import Instance
    from collector.logs import log_to_stderr
    from collector.sources.ris_live import lines
    from collector.spool.spool import open_intake

    os.umask(0o077)
    settings = chosen(ctx, data_dir)
    if not settings.ris_live.is_on:
        raise UsageError("no URL for RIS Live is given", "set BGPLEDGER_RIS_LIVE_URL=wss://ris-live.ripe.net/v1/ws/")
    log_to_stderr(settings.log.level)
    with open_intake(
        Instance(settings.data_dir, source=lines.NAME).spool,
        settings.spool,
        start=b"",
        describe=lambda drop: lines.dropped(drop.since, drop.lines, drop.size, drop.reason),
    ) as intake:
        asyncio.run(_receive(settings.ris_live, intake, settings.data_dir))
        intake.end(lines.ended())


async def _receive(settings: RisLiveSettings, intake: Intake, data_dir: Path) -> None:
    import asyncio
    import signal

    from collector.sources.ris_live.receiver import RisLiveReceiver
    from collector.sources.ris_live.state import withdraw

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await RisLiveReceiver(settings, intake.write, lambda state: state.announce(data_dir)).run(stopping)
    finally:
        withdraw(data_dir)
