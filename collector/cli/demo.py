"""`bgpledger demo`: a demonstration in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_DATA_DIR = Path(".demo")


def command(
    ctx: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Where the demonstration keeps its files.", metavar="DIR", show_default=str(_DATA_DIR)
        ),
    ] = None,
) -> None:
    """Run a collector on loopback, play a recorded feed into it, and show what it has archived.

    On a terminal it stays up for queries until Ctrl-C; otherwise it ends by itself.
    """
    import asyncio
    import sys

    from collector.demo import demonstrate

    program = Path(sys.executable).with_name("bgpledger")
    asyncio.run(
        demonstrate(
            data_dir or ctx.obj["data_dir"] or _DATA_DIR,
            [str(program)],
            stay=sys.stdin.isatty() and sys.stdout.isatty(),
        )
    )
