"""`bgpledger archive`: the archiver by itself, for people who run their own ExaBGP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from collector.cli.options import Config, DataDir, MongodbUri, chosen

if TYPE_CHECKING:
    from collector.settings import Settings


def command(
    ctx: typer.Context, config: Config = None, data_dir: DataDir = None, mongodb_uri: MongodbUri = None
) -> None:
    """Store what `bgpledger receive` spools, until stopped; `bgpledger run` starts this by itself.

    When the store is away it waits, and the spool keeps everything.
    """
    import asyncio

    asyncio.run(_archive(chosen(ctx, data_dir, mongodb_uri, config=config)))


async def _archive(settings: Settings) -> None:
    import asyncio
    import signal
    from functools import partial

    from collector.cli.asking import find_store
    from collector.ledger.archive import Archiver
    from collector.ledger.outage import announce, withdraw
    from collector.ledger.project import Projector, Rhythm
    from collector.logs import log_to_stderr
    from collector.spool.spool import Keep, SpoolReader, identity
    from collector.wire.asks import ask

    log_to_stderr(settings.log.level)
    spool = settings.data_dir / "spool"
    reader = SpoolReader(spool, keep=Keep(spool, settings.spool.keep_days) if settings.spool.keep_days else None)
    try:
        async with find_store(settings) as store:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            projector = Projector(store, settings.collector, rhythm, days=settings.rib.snapshot_days)
            archiver = Archiver(
                reader,
                store,
                collector=settings.collector,
                ranges=[peer.address for peer in settings.peers if peer.is_range],
                spool=identity(spool),
                retention=settings.retention.model_dump(),
                batch_lines=settings.archive.batch_lines,
                batch_seconds=settings.archive.batch_seconds,
                ask=partial(ask, settings.data_dir),
                tell=partial(announce, settings.data_dir),
                saw=projector.saw,
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, archiver.stop)
            projecting = asyncio.create_task(projector.run(), name="tables")
            await archiver.run()
            projecting.cancel()
            withdraw(settings.data_dir)
    finally:
        reader.close()
