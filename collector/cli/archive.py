"""`bgpledger archive`: the archiver by itself, for people who run their own ExaBGP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collector.cli.options import with_settings

if TYPE_CHECKING:
    from contextlib import ExitStack

    from collector.archive.archiver import Archiver, Saw
    from collector.archive.outage import Tell
    from collector.instances import Instance
    from collector.settings import Settings
    from collector.store.mongo import Store


@partial(with_settings, config=True)
def command(settings: Any) -> None:
    """Store what `bgpledger receive` spools, until stopped; `bgpledger run` starts this by itself.

    When the store is away it waits, and the spool keeps everything. Where there are several spools, it stores them all.
    """
    import asyncio

    asyncio.run(_archive(settings))


async def _archive(settings: Settings) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack
    from functools import partial

    from collector.archive.maintenance import Upkeep
    from collector.archive.outage import Together, announce, withdraw
    from collector.cli.run_query import collect_rarely
    from collector.errors import one_error
    from collector.logs import log_to_stderr
    from collector.query.find_store import find_store
    from collector.rib.projecting import Rhythm
    from collector.rib.projector import Projector
    from collector.sources.known import find_instances
    from collector.tasks import end

    log_to_stderr(settings.log.level)
    collect_rarely()
    states = Together(partial(announce, settings.data_dir))
    with ExitStack() as readers:
        async with find_store(settings, primary=True, at_rest=False) as store:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            days, changes_days = settings.rib.snapshot_days, settings.rib.snapshot_changes_days
            projector = Projector(store, settings.collector, rhythm, days=days, changes_days=changes_days)
            archivers = [
                _archiver(
                    settings, instance, store, readers, tell=partial(states.hear, instance.label), saw=projector.saw
                )
                for instance in find_instances(settings.data_dir, settings)
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
            await end(*beside)
            withdraw(settings.data_dir)


def _archiver(
    settings: Settings, instance: Instance, store: Store, readers: ExitStack, *, tell: Tell, saw: Saw
) -> Archiver:
    """The archiver of one spool; the reader that it reads is closed with `readers`."""
    from collector.archive.archiver import Archiver
    from collector.sources.known import SOURCES
    from collector.spool.spool import Keep, SpoolReader, identity

    source = SOURCES[instance.source]
    keep = Keep(instance.spool, settings.spool.keep_days) if settings.spool.keep_days else None
    return Archiver(
        readers.enter_context(SpoolReader(instance.spool, keep=keep)),
        store,
        source=source,
        collector=settings.collector,
        ranges=[peer.address for peer in settings.peers if peer.is_range],
        instance=instance.label,
        spool=identity(instance.spool),
        batch_lines=settings.archive.batch_lines,
        batch_seconds=settings.archive.batch_seconds,
        ask=source.asker(instance),
        tell=tell,
        saw=saw,
    )
