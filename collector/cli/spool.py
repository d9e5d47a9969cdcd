"""`bgpledger spool`: lists the spool, and archives kept segments again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import DataDir, FormatOfAnswers, chosen, with_settings
from collector.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from collector.instances import Instance
    from collector.settings.model import Settings
    from collector.spool.kept import KeptSegment
    from schemas.status import SpoolSegment

app = typer.Typer(help="List the spool; archive kept segments again.", no_args_is_help=True)


@app.command("list", short_help="List the segments of the spools.")
def list_segments(
    ctx: typer.Context,
    form: FormatOfAnswers = "table",
    data_dir: DataDir = None,
) -> None:
    """List the segments that are kept (spool.keep_days), and those that are not completely stored yet."""
    import asyncio
    import sys

    from collector.present.formats import write
    from collector.query.spool import spool_segments
    from collector.sources.known import find_instances
    from schemas.status import SpoolSegment

    settings = chosen(ctx, data_dir)

    async def found() -> AsyncIterator[SpoolSegment]:
        for instance in find_instances(settings.data_dir):
            for segment in spool_segments(instance.spool):
                yield segment

    if not asyncio.run(write(found(), SpoolSegment, form, sys.stdout)):
        sys.stderr.write(f"there is no spool in {settings.data_dir}\n")


@app.command(short_help="Archive kept segments again.")
@with_settings
def replay(
    settings: Any,
    start: Annotated[str | None, typer.Option(help="From the segment that has this time.", metavar="T")] = None,
    end: Annotated[str | None, typer.Option(help="To the segment that has this time.", metavar="T")] = None,
    database: Annotated[
        str | None, typer.Option(help="Into this database instead of the collector's.", metavar="NAME")
    ] = None,
) -> None:
    """Archive kept segments again: documents that the database has stay as they are, missing ones are stored.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; only whole segments are archived.
    """
    import sys

    from collector.tasks import run_interruptible

    segments = _between(settings, start, end)
    if database is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", database):
        raise UsageError(f"{database!r} cannot be the name of a database", "use letters, digits, - and _, at most 63")
    count = run_interruptible(_restore(settings, segments, database))
    sys.stdout.write(f"{count} lines of {sum(map(len, segments.values()))} segments are stored\n")


def _between(settings: Settings, start: str | None, end: str | None) -> Mapping[Instance, Sequence[KeptSegment]]:
    """The kept segments in a time range, of each instance that has any."""
    from datetime import UTC, datetime

    from collector.query.times import parse_span
    from collector.sources.known import find_instances
    from collector.spool.kept import kept_segments

    first, last = parse_span(start, end, None, datetime.now(UTC))
    instances = {
        instance: _of_time(kept_segments(instance.spool), first, last) for instance in find_instances(settings.data_dir)
    }
    if not any(instances.values()):
        raise UsageError(
            f"no segment is kept in {settings.data_dir}{' of this time' if start or end else ''}",
            "see bgpledger spool list; segments are kept if spool.keep_days is set",
        )
    return {instance: segments for instance, segments in instances.items() if segments}


def _of_time(segments: Sequence[KeptSegment], first: datetime | None, last: datetime | None) -> Sequence[KeptSegment]:
    chosen_ones = []
    begins = None
    for segment in segments:
        if (first is None or segment.last_written >= first) and (last is None or begins is None or begins < last):
            chosen_ones.append(segment)
        begins = segment.last_written
    return chosen_ones


async def _restore(
    settings: Settings, instances: Mapping[Instance, Sequence[KeptSegment]], database: str | None
) -> int:
    from collector.archive.restore import restore
    from collector.logs import log_to_stderr
    from collector.query.find_store import find_store
    from collector.sources.known import SOURCES
    from collector.spool.state import inspect

    log_to_stderr(settings.log.level)
    count = 0
    async with find_store(settings, database=database, primary=True) as store:
        for instance, segments in instances.items():
            note = inspect(instance.spool).note
            count += await restore(
                segments,
                store,
                source=SOURCES[instance.source],
                collector=note.get("collector", settings.collector),
                ranges=note.get("ranges", ()),
                instance=instance.label,
            )
    return count
