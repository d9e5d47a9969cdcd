"""`bgpledger spool`: what the spool holds, and kept segments once more."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DataDir, MongodbUri, chosen
from collector.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from collector.settings import Settings
    from collector.spool.kept import KeptSegment
    from schemas.query import SpoolSegment

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the spool; archive again what it keeps.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"


@app.command("list")
def list_segments(
    ctx: typer.Context,
    form: Annotated[_Format, typer.Option("--format", help="How to print.")] = _Format.TABLE,
    data_dir: DataDir = None,
) -> None:
    """List the segments that are kept (spool.keep_days), and those whose lines are not all stored yet."""
    import asyncio
    import sys

    from collector.present.formats import Format, write
    from collector.query.spool import spool_segments
    from schemas.query import SpoolSegment

    settings = chosen(ctx, data_dir, None)

    async def found() -> AsyncIterator[SpoolSegment]:
        for segment in spool_segments(settings.data_dir / "spool"):
            yield segment

    if not asyncio.run(write(found(), SpoolSegment, Format(form), sys.stdout)):
        sys.stderr.write(f"there is no spool in {settings.data_dir}\n")


@app.command()
def replay(
    ctx: typer.Context,
    start: Annotated[str | None, typer.Option(help="From the segment on that has this time.", metavar="T")] = None,
    end: Annotated[str | None, typer.Option(help="To the segment that has this time.", metavar="T")] = None,
    database: Annotated[
        str | None, typer.Option(help="Into this database, not the collector's own.", metavar="NAME")
    ] = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Archive kept segments again: what the database has already stays as it is, what it lost comes back.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; whole segments are taken.
    """
    import asyncio
    import sys

    settings = chosen(ctx, data_dir, mongodb_uri)
    segments = _between(settings.data_dir / "spool", start, end)
    if database is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", database):
        raise UsageError(f"{database!r} cannot be a database's name", "use letters, digits, - and _, at most 63")
    count = asyncio.run(_restore(settings, segments, database))
    sys.stdout.write(f"{count} lines of {len(segments)} segments are stored\n")


def _between(spool: Path, start: str | None, end: str | None) -> Sequence[KeptSegment]:
    from datetime import UTC, datetime

    from collector.query.moments import parse_moment
    from collector.spool.kept import kept_segments

    now = datetime.now(UTC)
    first = parse_moment(start, now) if start else None
    last = parse_moment(end, now) if end else None
    chosen_ones = []
    begins = None
    for segment in kept_segments(spool):
        if (first is None or segment.last_written >= first) and (last is None or begins is None or begins < last):
            chosen_ones.append(segment)
        begins = segment.last_written
    if not chosen_ones:
        raise UsageError(
            f"no segment is kept in {spool}{' of this time' if start or end else ''}",
            "see what is: bgpledger spool list; they are kept when spool.keep_days says so",
        )
    return chosen_ones


async def _restore(settings: Settings, segments: Sequence[KeptSegment], database: str | None) -> int:
    from collector.cli.asking import find_store
    from collector.ledger.restore import restore
    from collector.logs import log_to_stderr
    from collector.spool.state import inspect

    log_to_stderr(settings.log.level)
    said = inspect(settings.data_dir / "spool").note
    async with find_store(settings, database=database) as store:
        return await restore(
            segments,
            store,
            collector=said.get("collector", settings.collector),
            ranges=said.get("ranges", ()),
        )
