"""`bgpledger receive-bmp`: receives BMP from routers; `run` starts it if there is a [bmp]."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from collector.cli.options import DataDir, chosen

if TYPE_CHECKING:
    from collector.instances import Instance
    from collector.settings.sources import BmpSettings
    from collector.spool.spool import Intake


def command(ctx: typer.Context, data_dir: DataDir = None) -> None:
    """Write BMP messages from routers to a spool, until stopped. `bgpledger run` starts this; people rarely do.

    It is configured by environment variables: BGPLEDGER_BMP_LISTEN, BGPLEDGER_BMP_ALLOW. Without any of them it
    records in the spool that no router is connected any more, and ends.
    """
    import asyncio

    from collector.instances import Instance
    from collector.logs import log_to_stderr
    from collector.sources.bmp import events
    from collector.sources.bmp.md5 import read_password
    from collector.spool.spool import open_intake

    os.umask(0o077)
    settings = chosen(ctx, data_dir)
    log_to_stderr(settings.log.level)
    here = Instance(settings.data_dir, source="bmp")
    password = read_password(settings.bmp, os.environ) if settings.bmp else None
    with open_intake(
        here.spool,
        settings.spool,
        start=events.start(),
        describe=lambda drop: events.dropped(drop.since, drop.lines, drop.size, drop.reason),
    ) as intake:
        if settings.bmp:
            asyncio.run(_receive(settings.bmp, password, intake, here))
        intake.end(events.end())


async def _receive(settings: BmpSettings, password: bytes | None, intake: Intake, here: Instance) -> None:
    import asyncio
    import signal

    from collector.sources.bmp.receiver import BmpReceiver
    from collector.sources.bmp.state import withdraw

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await BmpReceiver(settings, password, intake, lambda state: state.announce(here)).run(stopping)
    finally:
        withdraw(here)
