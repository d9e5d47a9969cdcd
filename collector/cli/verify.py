"""`bgpledger verify`: checks that every line is stored exactly once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from collector.cli.options import FormatOfAnswers, with_settings
from collector.present.names import AnswerFormat

if TYPE_CHECKING:
    from collector.settings.model import Settings
    from schemas.status import Verification


@partial(with_settings, config=True)
def command(settings: Any, form: FormatOfAnswers = "table") -> None:
    """Check that every line is stored exactly once, by spool position, ExaBGP's counters, sessions and documents.

    Exits with 0 if every line that the archiver has acknowledged has exactly one document; with 1 and a list of
    findings if something is missing or duplicated. The collector may be running.
    """
    from collector.tasks import run_interruptible

    found = run_interruptible(_verify(settings, form))
    if not found.complete:
        raise typer.Exit(1)


async def _verify(settings: Settings, form: AnswerFormat) -> Verification:
    import sys
    from collections.abc import AsyncIterator

    from collector.cli.progress import progress
    from collector.present.formats import write
    from collector.query.find_store import find_store
    from collector.query.running import find_running
    from collector.query.verify.verify import verify
    from schemas.status import Verification

    with progress(of="documents compared") as shown:
        running = find_running(settings.data_dir)
        name = (running and running.collector) or settings.collector
        async with find_store(settings, primary=True) as store:
            found = await verify(settings.data_dir, store, name, shown.reach)

    async def one() -> AsyncIterator[Verification]:
        yield found

    await write(one(), Verification, form, sys.stdout)
    return found
