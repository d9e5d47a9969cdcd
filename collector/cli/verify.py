"""`bgpledger verify`: whether anything is missing or double."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from collector.cli.options import FormatOfAnswers, with_settings
from collector.present.names import AnswerFormat

if TYPE_CHECKING:
    from collector.settings import Settings
    from schemas.status import Verification


@partial(with_settings, config=True)
def command(settings: Any, form: FormatOfAnswers = "table") -> None:
    """Compare the spool's position, ExaBGP's counters, the sessions' tallies and the documents.

    Exits with 0 when every line that the spool handed on has its document, once; with 1 and a list of findings when
    something is missing or double. The collector may run meanwhile.
    """
    import asyncio

    found = asyncio.run(_verify(settings, form))
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
