"""`bgpledger receive`: the helper that ExaBGP starts."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from collector.cli.options import DataDir, chosen


def command(
    ctx: typer.Context,
    lane: Annotated[
        int, typer.Option(min=0, max=15, help="Of several ExaBGP processes, the number of the one that starts this.")
    ] = 0,
    data_dir: DataDir = None,
) -> None:
    """Write what ExaBGP says on stdin to the spool, until it ends. ExaBGP starts this; people rarely do.

    In ExaBGP's configuration: process archive { run /path/to/bgpledger receive --data-dir DIR; encoder json; }
    """
    os.umask(0o077)  # ExaBGP's own lets nobody enter the directories that we make
    settings = chosen(ctx, data_dir)

    from collector.lanes import Lane
    from collector.logs import log_to_stderr
    from collector.spool.spool import Intake, Room, SpoolWriter, Sync
    from collector.wire import markers
    from collector.wire.asks import listen
    from collector.wire.receive import receive

    log_to_stderr(settings.log.level)
    here = Lane(settings.data_dir, lane)
    told, directory = settings.spool, here.spool
    limit = None if told.limit_mib is None else told.limit_mib * 2**20
    room = Room(directory, limit=limit, keep_free=told.keep_free_mib * 2**20)
    sync = Sync(directory, seconds=told.sync_seconds, size=told.sync_mib * 2**20)
    exabgp = markers.exabgp()
    with SpoolWriter(directory, segment_bytes=told.segment_mib * 2**20, sync=sync) as spool:
        intake = Intake(
            spool,
            room,
            start=markers.start(exabgp),
            describe=lambda drop: markers.dropped(exabgp, drop.since, drop.lines, drop.size, drop.reason),
        )
        receive(intake.write, asks=listen(here.asks), commands=sys.stdout.fileno())
        intake.end(markers.end(exabgp))
