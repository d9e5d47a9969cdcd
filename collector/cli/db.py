"""`bgpledger db`: operations on the whole database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from collector.cli.options import with_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.settings.model import Settings
    from collector.store.migrate import Done

app = typer.Typer(help="Migrate a database, or rebuild stored tables.", no_args_is_help=True)


@app.command("rebuild-rib", short_help="Rebuild the stored tables.")
@partial(with_settings, config=True)
def rebuild_rib(settings: Any) -> None:
    """Drop the tables that are stored for `rib`, `diff` and `peers`, and rebuild them from the UPDATEs.

    Tables whose UPDATEs [retention] has removed are kept. Collectors may be running, and queries are answered;
    those for whole tables take longer.
    """
    import sys

    from collector.tasks import run_interruptible

    made, sessions = run_interruptible(_rebuild(settings))
    sys.stderr.write(f"{made} tables of {sessions} sessions\n")


@app.command()
@partial(with_settings, config=True)
def migrate(settings: Any) -> None:
    """Upgrade the database to this version's schema.

    Upgrade and start the collectors first: those of this version may run meanwhile. If it is interrupted, they keep
    working: run it again. Older versions can't use the database afterwards.
    """
    import sys

    from collector.tasks import run_interruptible

    try:
        done = run_interruptible(_migrate(settings))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what is done is kept, and `bgpledger db migrate` continues from there\n")
        raise typer.Exit(130) from None
    for step in done:
        sys.stderr.write(f"done: {step.name} ({step.changed} documents changed)\n")
    if not done:
        sys.stderr.write("nothing to migrate: the database has this version's schema\n")


async def _rebuild(settings: Settings) -> tuple[int, int]:
    from collector.cli.progress import progress
    from collector.query.find_store import find_store
    from collector.rib.projecting import Rhythm
    from collector.rib.rebuilding import rebuild

    sessions = 0
    with progress(of="sessions folded") as shown:

        def on_progress(done: int, of: int) -> None:
            nonlocal sessions
            sessions = of
            shown.reach(done, of)

        async with find_store(settings, primary=True) as store:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            return await rebuild(store, rhythm, on_progress), sessions


async def _migrate(settings: Settings) -> Sequence[Done]:
    import sys

    from collector.cli.progress import progress
    from collector.query.find_store import find_store
    from collector.store.migrate import migrate

    with progress(of="documents read") as shown:

        class StepsShown:
            """Prints each step on a line of its own, and the indexes that are built, with the progress below."""

            def step(self, name: str) -> None:
                sys.stderr.write(f"{name} ...\n")

            def read(self, done: int, of: int) -> None:
                shown.reach(done, of)

            def building(self, what: str | None) -> None:
                if what:
                    sys.stderr.write(f"building {what}\n")

        async with find_store(settings, primary=True) as store:
            return await migrate(store, StepsShown())
