"""`bgpledger export`: writes stored messages and tables to files for other programs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from collector.cli.filters import with_filters
from collector.cli.options import with_settings
from collector.errors import ExportError, UsageError

if TYPE_CHECKING:
    from bgpledger import Archive
    from collector.cli.progress import ProgressLine
    from collector.export.summary import ExportSummary
    from collector.query.filters import Filter


ExportFormat = Literal["mrt", "parquet", "pcap"]


@with_settings
@partial(with_filters, prefixes=True)
def command(
    filters: Any,
    settings: Any,
    output: Annotated[
        str,
        typer.Argument(
            help="The file; compressed if it ends in .gz, .bz2 or .zst; - is stdout. For Parquet also a directory.",
            metavar="FILE|FOLDER|-",
        ),
    ],
    form: Annotated[ExportFormat, typer.Option("--format", help="The kind of file.")] = "mrt",
    table: Annotated[bool, typer.Option("--table", help="The current routes, instead of messages.")] = False,
    at: Annotated[str | None, typer.Option(help="With --table: the routes at this time.", metavar="T")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Go through the whole archive when no time is given.")
    ] = False,
) -> None:
    """Write messages and sessions, or the tables of all peers, to a file for other programs.

    The filters are those of search. Of an UPDATE with several routes, the file has those that match. Parquet is
    written to one file, or by router and day into a directory that exists or whose name ends in /.
    """
    import time

    from bgpledger.archive import Archive
    from collector.cli.progress import progress
    from collector.cli.run_query import collect_rarely, say
    from collector.tasks import run_interruptible

    _check(form, output, at, table=table)
    collect_rarely()
    began = time.monotonic()

    async def ask_and_write(shown: ProgressLine) -> ExportSummary:
        async with Archive.found(settings, say=say, share=True) as archive:
            if table:
                return await _table(archive, filters, at, output, shown)
            return await _messages(archive, filters, form, output, shown, everything=everything)

    try:
        with progress(of="entries read" if table else "UPDATEs read") as shown:
            written = run_interruptible(ask_and_write(shown))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; no unfinished file is left\n")
        raise typer.Exit(130) from None
    seconds = time.monotonic() - began
    what = {"mrt": "records", "parquet": "rows", "pcap": "packets"}[form]
    sys.stderr.write(f"{written.records:,} {what} in {seconds:.1f} s: {written.records / seconds:,.0f}/s\n")
    _tell(written)


def _check(form: ExportFormat, output: str, at: str | None, *, table: bool) -> None:
    """Refuse combinations of options that make no sense.

    Raises:
        UsageError: they make no sense.
    """
    from collector.export.files import PACKED

    if table and form != "mrt":
        raise UsageError(f"a table cannot be written as {form}", "leave --format out, or --table")
    if at is not None and not table:
        raise UsageError("--at needs --table", "add --table, or give a time range (--start, --end)")
    if form == "parquet":
        if output == "-" or Path(output).suffix in PACKED:
            raise UsageError("Parquet cannot be written to stdout", "give a file or a directory")
    elif _is_folder(output):
        raise UsageError(f"{form} needs a file, and {output} is a directory", "give a file")


async def _messages(
    archive: Archive, filters: Filter, form: ExportFormat, output: str, shown: ProgressLine, *, everything: bool
) -> ExportSummary:
    open_messages = partial(archive.messages, filters, everything=everything, progress=shown.reach)
    if form == "parquet":
        from collector.export.parquet import ParquetWriter

        async with open_messages(with_others=False) as messages:
            return _something(await ParquetWriter(Path(output), by_day=_is_folder(output)).write(messages))

    from collector.export.files import writing

    async with open_messages() as messages:
        with writing(_path(output)) as stream:
            if form == "mrt":
                from collector.export.mrt import write_updates

                return _something(await write_updates(messages, stream))
            from collector.export.pcap import CaptureWriter

            return _something(await CaptureWriter(stream).write(messages))


async def _table(archive: Archive, filters: Filter, at: str | None, output: str, shown: ProgressLine) -> ExportSummary:
    from datetime import UTC, datetime

    from collector.export.files import writing
    from collector.export.table_dump import TableWriter
    from collector.query.arguments import parse_time

    moment = parse_time(at)
    with writing(_path(output)) as stream:
        writer = TableWriter(moment or datetime.now(UTC), stream)
        async with archive.table(filters, at=moment, on_peers=writer.set_peers, progress=shown.reach) as prefixes:
            return _something(await writer.write(prefixes))


def _is_folder(output: str) -> bool:
    return output.endswith("/") or Path(output).is_dir()


def _path(output: str) -> Path | None:
    """The file; None: stdout."""
    return None if output == "-" else Path(output)


def _something(written: ExportSummary) -> ExportSummary:
    """Refuse an export that wrote nothing, so that no empty file is left.

    Raises:
        ExportError: nothing was written.
    """
    if not written.records:
        _tell(written)
        raise ExportError(
            "nothing in the archive matches these filters: no file is written",
            "see what there is with bgpledger search or rib",
        )
    return written


def _tell(written: ExportSummary) -> None:
    for sentence in written.sentences():
        sys.stderr.write(f"  {sentence}\n")
