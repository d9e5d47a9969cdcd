"""`bgpledger export`: what is stored, as files of other programs' formats."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import with_settings
from collector.errors import ExportError

if TYPE_CHECKING:
    from collector.cli.progress import Progress
    from collector.export.written import Written
    from collector.query.filters import Filter
    from collector.settings import Settings


@with_settings
@partial(with_filters, prefixes=True)
def command(
    filters: Any,
    settings: Any,
    output: Annotated[
        str, typer.Argument(help="The file; packed where it ends in .gz, .bz2 or .zst; - is stdout.", metavar="FILE|-")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Go through the whole archive when no time is given.")
    ] = False,
) -> None:
    """Write what peers said, and their sessions, into a file for other programs.

    The filters are those of search. Of an UPDATE with several routes the file has those that pass.
    """
    import asyncio
    import time

    from collector.cli.progress import progress
    from collector.cli.run_query import collect_rarely

    collect_rarely()
    began = time.monotonic()
    with progress() as shown:
        written = asyncio.run(_write(settings, filters, output, shown, everything=everything))
    seconds = time.monotonic() - began
    sys.stderr.write(f"{written.records:,} records in {seconds:.1f} s: {written.records / seconds:,.0f}/s\n")
    _tell(written)


async def _write(settings: Settings, filters: Filter, output: str, shown: Progress, *, everything: bool) -> Written:
    from bgpledger.archive import Archive
    from collector.cli.run_query import say
    from collector.export.files import writing
    from collector.export.mrt import write_updates

    asking = partial(Archive.messages, filters=filters, everything=everything, progress=shown.reach)
    async with Archive.found(settings, say=say) as archive, asking(archive) as said:
        with writing(None if output == "-" else Path(output)) as stream:
            written = await write_updates(said, stream)
            if not written.records:
                _tell(written)
                raise ExportError(
                    "nothing that is known passes these filters: no file is written",
                    "ask with bgpledger search what there is",
                )
    return written


def _tell(written: Written) -> None:
    for sentence in written.sentences():
        sys.stderr.write(f"  {sentence}\n")
