"""`bgpledger db`: what can be done to the database as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from collector.cli.options import Config, DataDir, MongodbUri, chosen

if TYPE_CHECKING:
    from collector.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Make anew what is derived from the archive.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("rebuild-rib")
def rebuild_rib(
    ctx: typer.Context, config: Config = None, data_dir: DataDir = None, mongodb_uri: MongodbUri = None
) -> None:
    """Throw away the tables that are stored for `rib`, `diff` and `peers`, and make them anew from the UPDATEs.

    Collectors may run meanwhile, and questions are answered; those for whole tables take longer.
    """
    import asyncio
    import sys

    made, sessions = asyncio.run(_rebuild(chosen(ctx, data_dir, mongodb_uri, config=config)))
    sys.stderr.write(f"{made} tables of {sessions} sessions\n")


async def _rebuild(settings: Settings) -> tuple[int, int]:
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from collector.cli.asking import find_store
    from collector.ledger.project import Rhythm, rebuild

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("sessions", total=None)
        sessions = 0

        def told(done: int, of: int) -> None:
            nonlocal sessions
            sessions = of
            progress.update(bar, completed=done, total=of)

        async with find_store(settings) as store:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            return await rebuild(store, rhythm, told), sessions
