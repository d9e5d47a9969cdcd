"""`bgpledger import`: MRT files straight into the archive."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import with_settings
from collector.errors import ImportFileError, UsageError

if TYPE_CHECKING:
    from collector.archive.importing import Imported, Selection
    from collector.cli.progress import Progress
    from collector.settings import Settings

_MOST_REASONS = 5


@partial(with_settings, config=True)
def command(
    settings: Any,
    files: Annotated[
        list[str], typer.Argument(help="MRT update files, folders of them, or - for stdin.", metavar="FILE|FOLDER|-")
    ],
    collector: Annotated[
        str | None, typer.Option(metavar="NAME", help="The collector in every document, such as rrc00.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="T", help="Only records from this time on.")] = None,
    end: Annotated[str | None, typer.Option(metavar="T", help="Only records before this time.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(metavar="ADDR", help="Only records of this peer; may be given again.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; say what is in the files.")] = False,
) -> None:
    """Import MRT update files (BGP4MP), such as RIS and RouteViews publish: plain, gzip, bzip2, xz or zstd.

    Times are those of the files. A file that was imported is not imported again, and one that was broken off goes on
    where it was. Sessions go on from a file into the one that follows it.
    """
    import asyncio
    import logging

    from collector.sources.mrt.files import MrtFiles

    selection = _selection(start, end, peer or [])
    logging.getLogger("collector").setLevel(logging.ERROR)  # what peers did years ago is no news
    with MrtFiles(files) as found:
        for path in found.tables:
            sys.stderr.write(f"{path} is a RIB dump (MRT TABLE_DUMP), which cannot be imported: only updates can\n")
        if not found.paths:
            raise ImportFileError(
                "there is nothing to import in them", "give update files, named updates.* by RIS and RouteViews"
            )
        if dry_run:
            told = [_look_through(path, selection) for path in found.paths]
        else:
            told = asyncio.run(_import(settings, found.paths, collector or settings.collector, selection))
    _sum_up(told)
    if any(one.fault for one in told):
        raise typer.Exit(1)


def _selection(start: str | None, end: str | None, peers: Sequence[str]) -> Selection:
    from datetime import UTC, datetime

    from collector.archive.importing import Selection
    from collector.query.times import parse_span
    from schemas.scalars import normalise_address

    first, last = parse_span(start, end, None, datetime.now(UTC))
    try:
        return Selection(first, last, frozenset(map(normalise_address, peers)))
    except ValueError as error:
        raise UsageError(f"--peer: {error}", "give an address, such as 192.0.2.1; again for each other peer") from None


async def _import(settings: Settings, paths: Sequence[Path], name: str, selection: Selection) -> list[Imported]:
    from collector.archive.importing import Importer
    from collector.cli.progress import progress
    from collector.query.find_store import find_store
    from collector.sources.mrt.source import MRT

    total, done = sum(path.stat().st_size for path in paths), 0
    told = []
    async with find_store(settings, primary=True, begin=True) as store:
        importer = Importer(store, source=MRT, collector=name, selection=selection)
        with progress(total, of="bytes read") as shown:
            for path in paths:
                told.append(await importer.take(path, partial(_reach, shown, done, total)))
                done += path.stat().st_size
                _tell(told[-1])
    return told


def _reach(shown: Progress, before: int, total: int, size: int) -> None:
    shown.reach(before + size, total)


def _look_through(path: Path, selection: Selection) -> Imported:
    """Read a file as the import would, and store nothing."""
    from collector.archive.importing import look_through
    from collector.sources.mrt.source import MRT

    told = look_through(path, MRT, selection)
    _tell(told)
    return told


def _tell(one: Imported) -> None:
    """One line about a file, and one about each thing that is odd in it."""
    if one.known:
        sys.stderr.write(f"{one.path}: imported before\n")
        return
    what = f"{one.records:,} records" + (f", {one.rejected:,} of them rejected" if one.rejected else "")
    left_out = f", {one.left_out:,} left out as not asked for" if one.left_out else ""
    sys.stderr.write(f"{one.path}: {what}{left_out}\n")
    for reason, count in list(one.reasons.items())[:_MOST_REASONS]:
        sys.stderr.write(f"  rejected {count:,}: {reason}\n")
    for name, count in one.others.items():
        sys.stderr.write(f"  skipped {count:,} of MRT type {name}, which hold no BGP message\n")
    if one.fault:
        sys.stderr.write(f"  {one.fault.cause}\n")


def _sum_up(told: Sequence[Imported]) -> None:
    records, seconds = sum(one.records for one in told), sum(one.seconds for one in told)
    rate = f" in {seconds:.1f} s: {records / seconds:,.0f}/s" if seconds and records else ""
    sys.stderr.write(f"{records:,} records of {len(told)} files{rate}\n")
