"""`bgpledger receive`: the helper that ExaBGP starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", envvar="BGPLEDGER_DATA_DIR", help="Where the collector keeps its files.")
    ],
) -> None:
    """Write what ExaBGP says on stdin to the spool, until it ends. ExaBGP starts this; people rarely do.

    In ExaBGP's configuration: process archive { run /path/to/bgpledger receive --data-dir DIR; encoder json; }
    """
    from collector.spool.spool import SpoolWriter
    from collector.wire.receive import receive, start_marker

    os.umask(0o077)  # ExaBGP's own lets nobody enter the directories that we make
    with SpoolWriter(data_dir / "spool") as spool:
        spool.write(start_marker())
        receive(spool.write)
