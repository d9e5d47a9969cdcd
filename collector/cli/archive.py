"""`bgpledger archive`: the archiver by itself, for people who run their own ExaBGP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from collector.cli.options import Config, DataDir, MongodbUri, MongodbUriFile, chosen

if TYPE_CHECKING:
    from contextlib import ExitStack

    from collector.lanes import Lane
    from collector.ledger.archive import Archiver, Saw
    from collector.ledger.outage import Tell
    from collector.settings import Settings
    from collector.store.mongo import Store


def command(
    ctx: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
) -> None:
    """Store what `bgpledger receive` spools, until stopped; `bgpledger run` starts this by itself.

    When the store is away it waits, and the spool keeps everything. Where there are several spools, it stores them all.
    """
    import asyncio

    asyncio.run(_archive(chosen(ctx, data_dir, mongodb_uri, mongodb_uri_file, config=config)))


async def _archive(settings: Settings) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack
    from functools import partial

    from collector.cli.asking import find_store
    from collector.errors import one_error
    from collector.lanes import find_lanes
    from collector.ledger.outage import Together, announce, withdraw
    from collector.ledger.project import Projector, Rhythm
    from collector.ledger.upkeep import Upkeep
    from collector.logs import log_to_stderr

    log_to_stderr(settings.log.level)
    states = Together(partial(announce, settings.data_dir))
    with ExitStack() as readers:
        async with find_store(settings, primary=True, at_rest=False) as store:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            days, changes_days = settings.rib.snapshot_days, settings.rib.snapshot_changes_days
            projector = Projector(store, settings.collector, rhythm, days=days, changes_days=changes_days)
            archivers = [
                _archiver(settings, lane, store, readers, tell=partial(states.hear, lane.number), saw=projector.saw)
                for lane in find_lanes(settings.data_dir, settings.exabgp.processes)
            ]

            def stop() -> None:
                for archiver in archivers:
                    archiver.stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop)
            upkeep = Upkeep(store, settings.retention.model_dump(), states.build)
            beside = [
                asyncio.create_task(projector.run(), name="tables"),
                asyncio.create_task(upkeep.run(), name="upkeep"),
            ]
            with one_error():
                async with asyncio.TaskGroup() as running:
                    for archiver in archivers:
                        running.create_task(archiver.run())
            for task in beside:
                task.cancel()
            withdraw(settings.data_dir)


def _archiver(settings: Settings, lane: Lane, store: Store, readers: ExitStack, *, tell: Tell, saw: Saw) -> Archiver:
    """The archiver of one spool; the reader that it reads is closed with `readers`."""
    from functools import partial

    from collector.ledger.archive import Archiver
    from collector.spool.spool import Keep, SpoolReader, identity
    from collector.wire.asks import ask

    keep = Keep(lane.spool, settings.spool.keep_days) if settings.spool.keep_days else None
    return Archiver(
        readers.enter_context(SpoolReader(lane.spool, keep=keep)),
        store,
        collector=settings.collector,
        ranges=[peer.address for peer in settings.peers if peer.is_range],
        lane=lane.number,
        spool=identity(lane.spool),
        batch_lines=settings.archive.batch_lines,
        batch_seconds=settings.archive.batch_seconds,
        ask=partial(ask, lane.asks),
        tell=tell,
        saw=saw,
    )
