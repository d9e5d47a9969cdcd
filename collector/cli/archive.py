"""`bgpledger archive`: the archiver alone, for people who run their own ExaBGP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import with_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from bson import ObjectId

    from collector.archive.archiver import Archiver, Saw
    from collector.archive.outage import Tell
    from collector.instances import Instance
    from collector.rib.projector import Projector
    from collector.settings.model import Settings
    from collector.store.mongo import Store


@partial(with_settings, config=True)
def command(
    settings: Any,
    spool: Annotated[
        str | None, typer.Option(help="Only this spool: spool, spool-1, spool-bmp.", metavar="NAME")
    ] = None,
) -> None:
    """Store what `bgpledger receive` spools, until stopped; `bgpledger run` starts this by itself, for each spool.

    When the store is unavailable it waits, and the spool keeps everything. Without --spool, it stores all spools.
    """
    import asyncio

    asyncio.run(_archive(settings, spool))


async def _archive(settings: Settings, spool: str | None) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack

    from collector.archive.maintenance import Upkeep
    from collector.archive.outage import Announcer, state_file
    from collector.cli.run_query import collect_rarely
    from collector.errors import one_error
    from collector.logs import log_to_stderr
    from collector.query.find_store import find_store
    from collector.sources.known import find_instances
    from collector.tasks import end

    log_to_stderr(settings.log.level)
    collect_rarely()
    every = find_instances(settings.data_dir, settings)
    mine = _chosen(every, spool)
    announcers = {instance: Announcer(state_file(instance)) for instance in mine}
    with ExitStack() as readers:
        async with find_store(settings, primary=True, at_rest=False) as store:
            projector = _projector(settings, store, _sessions_of(settings.collector, every, mine))
            archivers = [
                _archiver(settings, instance, store, readers, tell=announcer.hear, saw=projector.saw)
                for instance, announcer in announcers.items()
            ]

            def stop() -> None:
                for archiver in archivers:
                    archiver.stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop)
            side_tasks = [asyncio.create_task(projector.run(), name="tables")]
            # there is one database, however many processes write to it
            if (first := announcers.get(every[0])) is not None:
                upkeep = Upkeep(store, settings.retention.model_dump(), first.build)
                side_tasks.append(asyncio.create_task(upkeep.run(), name="upkeep"))
            with one_error():
                async with asyncio.TaskGroup() as running:
                    for archiver in archivers:
                        running.create_task(archiver.run())
            await end(*side_tasks)
            for announcer in announcers.values():
                announcer.withdraw()


def _projector(settings: Settings, store: Store, is_ours: Callable[[ObjectId], bool]) -> Projector:
    """What stores tables of the sessions that this process archives."""
    from collector.rib.projecting import Rhythm
    from collector.rib.projector import Projector

    return Projector(
        store,
        settings.collector,
        Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates),
        is_ours=is_ours,
        days=settings.rib.snapshot_days,
        changes_days=settings.rib.snapshot_changes_days,
    )


def _chosen(instances: Sequence[Instance], spool: str | None) -> Sequence[Instance]:
    """The instance whose spool has this name; all without a name.

    Raises:
        UsageError: there is none.
    """
    from collector.errors import UsageError

    found = [instance for instance in instances if spool in (None, instance.spool.name)]
    if not found:
        names = ", ".join(instance.spool.name for instance in instances)
        raise UsageError(f"there is no spool {spool!r} here", f"give one of: {names}")
    return found


def _sessions_of(collector: str, instances: Sequence[Instance], mine: Sequence[Instance]) -> Callable[[ObjectId], bool]:
    """Tells by their keys which sessions' tables this process stores, and which other archivers do.

    The first instance's archiver also stores those of instances that no longer exist.
    """
    from schemas.keys import collector_number, instance_name, key_collector

    numbers = {instance: collector_number(instance_name(collector, instance.label)) for instance in instances}
    if instances[0] in mine:
        others = {number for instance, number in numbers.items() if instance not in mine}
        return lambda session: key_collector(session) not in others
    own = {numbers[instance] for instance in mine}
    return lambda session: key_collector(session) in own


def _archiver(
    settings: Settings, instance: Instance, store: Store, readers: ExitStack, *, tell: Tell, saw: Saw
) -> Archiver:
    """The archiver of one spool; its reader is closed with `readers`."""
    from collector.archive.archiver import Archiver
    from collector.sources.known import SOURCES
    from collector.spool.spool import Keep, SpoolReader, spool_identity

    source = SOURCES[instance.source]
    keep = Keep(instance.spool, settings.spool.keep_days) if settings.spool.keep_days else None
    return Archiver(
        readers.enter_context(SpoolReader(instance.spool, keep=keep)),
        store,
        source=source,
        collector=settings.collector,
        ranges=[peer.address for peer in settings.peers if peer.is_range],
        instance=instance.label,
        spool=spool_identity(instance.spool),
        batch_lines=settings.archive.batch_lines,
        batch_seconds=settings.archive.batch_seconds,
        ask=source.asker(instance),
        tell=tell,
        saw=saw,
    )
