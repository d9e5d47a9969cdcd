"""`bgpledger receive`: the helper that ExaBGP starts."""

from __future__ import annotations

import os

import typer

from collector.cli.options import DataDir, chosen


def command(ctx: typer.Context, data_dir: DataDir = None) -> None:
    """Write what ExaBGP says on stdin to the spool, until it ends. ExaBGP starts this; people rarely do.

    In ExaBGP's configuration: process archive { run /path/to/bgpledger receive --data-dir DIR; encoder json; }
    """
    os.umask(0o077)  # ExaBGP's own lets nobody enter the directories that we make
    settings = chosen(ctx, data_dir, None)

    from collector.spool.spool import SpoolWriter
    from collector.wire.receive import receive, start_marker

    with SpoolWriter(settings.data_dir / "spool", segment_bytes=settings.spool.segment_mib * 2**20) as spool:
        spool.write(start_marker())
        receive(spool.write)
