"""`bgpledger import`: imports MRT files and captures into the archive."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import with_settings
from collector.errors import UsageError

if TYPE_CHECKING:
    from collector.archive.imported import Imported
    from collector.archive.selection import Selection
    from collector.cli.progress import ProgressLine
    from collector.settings.model import Settings
    from collector.sources.files import ImportFiles
    from collector.sources.pcap.records import Capture
    from collector.store.mongo import Store

_MOST_REASONS = 5
_MOST_NAMES = 5


@partial(with_settings, config=True)
def command(
    settings: Any,
    files: Annotated[
        list[str],
        typer.Argument(
            help="MRT files (updates, RIB dumps), captures, directories of them, or - for stdin.",
            metavar="FILE|FOLDER|-",
        ),
    ],
    collector: Annotated[
        str | None, typer.Option(metavar="NAME", help="The collector's name in the documents, such as rrc00.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="T", help="Only records from this time on.")] = None,
    end: Annotated[str | None, typer.Option(metavar="T", help="Only records before this time.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(metavar="ADDR", help="Only records of this peer; may be repeated.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; show what is in the files.")] = False,
) -> None:
    """Import MRT files, such as RIS and RouteViews publish, and captures (pcap, pcapng) of BGP.

    MRT files contain updates (BGP4MP) or RIB dumps (TABLE_DUMP, TABLE_DUMP_V2), which have the table of each peer at
    the time in the header. In a capture each end of a session is a peer, with the other end as its router. Files may
    be plain, gzip, bzip2, xz or zstd.

    Times are those in the files. A file is not imported twice, and an import that was interrupted continues where it
    stopped. Sessions continue from one file to the next.
    """
    import logging

    from collector.sources.files import ImportFiles
    from collector.tasks import run_interruptible

    selection = _selection(start, end, peer or [])
    logging.getLogger("collector").setLevel(logging.ERROR)  # what peers did years ago is not news
    with ImportFiles(files) as found:
        _tell_skipped(found)
        if dry_run:
            results = _look_through(found, selection)
        else:
            try:
                results = run_interruptible(_import(settings, found, collector or settings.collector, selection))
            except KeyboardInterrupt:
                sys.stderr.write("interrupted; what is stored is kept, and the same command continues from there\n")
                raise typer.Exit(130) from None
    _sum_up(results)
    if any(one.fault or one.has_no_bgp for one in results):
        raise typer.Exit(1)


def _selection(start: str | None, end: str | None, peers: Sequence[str]) -> Selection:
    from datetime import UTC, datetime

    from collector.archive.selection import Selection
    from collector.query.times import parse_span
    from schemas.scalars import normalise_address

    first, last = parse_span(start, end, None, datetime.now(UTC))
    try:
        return Selection(first, last, frozenset(map(normalise_address, peers)))
    except ValueError as error:
        raise UsageError(
            f"--peer: {error}", "give an address, such as 192.0.2.1; repeat --peer for each further one"
        ) from None


async def _import(settings: Settings, found: ImportFiles, name: str, selection: Selection) -> list[Imported]:
    from collector.archive.importing import Importer
    from collector.cli.progress import progress
    from collector.dumps.importer import DumpImporter
    from collector.query.find_store import find_store
    from collector.query.stopped_archive import only_import
    from collector.sources.mrt.source import MRT
    from collector.sources.pcap.source import PCAP

    total = sum(path.stat().st_size for path in (*found.paths, *(capture.path for capture in found.captures)))
    done = 0
    results = []
    async with (
        only_import(settings.data_dir, name),
        find_store(settings, primary=True, begin=True, share=True) as store,
    ):
        importer = partial(Importer, store, collector=name, selection=selection)
        of_updates = importer(source=MRT)
        of_dumps = DumpImporter(store, source=MRT, collector=name, selection=selection)
        with progress(total, of="bytes read") as shown:
            for path in found.paths:
                of_kind = of_dumps if path in found.dumps else of_updates
                results.append(await of_kind.take(path, partial(_reach, shown, done, total)))
                done += path.stat().st_size
                _tell(results[-1], found)
            for capture in found.captures:
                of_capture = importer(source=PCAP, open_file=capture.open)
                results.append(await of_capture.take(capture.path, partial(_reach, shown, done, total)))
                done += capture.path.stat().st_size
                _tell(results[-1], found)
                _tell_of_capture(capture)
        await _store_tables(settings, store, name, results)
    return results


def _reach(shown: ProgressLine, before: int, total: int, size: int) -> None:
    shown.reach(before + size, total)


async def _store_tables(settings: Settings, store: Store, name: str, results: Sequence[Imported]) -> None:
    """Store the tables that are due for sessions in the files, so that queries need not fold them completely.

    Also for files that were imported before, if that import was killed here.
    """
    from collector.archive.importing import sessions_since
    from collector.cli.progress import progress
    from collector.rib.catching_up import catch_up
    from collector.rib.projecting import Rhythm
    from collector.sources.mrt.source import MRT
    from collector.sources.pcap.source import PCAP

    unfinished = [one for one in results if not one.tables_are_stored]
    if begun := [one.first for one in unfinished if one.first]:
        sessions = [key for source in (MRT, PCAP) for key in await sessions_since(store, name, source, min(begun))]
        with progress(of="sessions folded") as shown:
            rhythm = Rhythm(settings.rib.snapshot_hours, settings.rib.snapshot_updates)
            await catch_up(store, sessions, rhythm, shown.reach)
    for one in unfinished:
        await store.meta.note_import(one.key, {"tables_are_stored": True})


def _look_through(found: ImportFiles, selection: Selection) -> list[Imported]:
    """Read files as the import would, without storing anything."""
    from collector.archive.file_records import look_through
    from collector.dumps.importer import look_through_dump
    from collector.sources.mrt.source import MRT
    from collector.sources.pcap.source import PCAP

    results = []
    for path in found.paths:
        is_dump = path in found.dumps
        results.append(look_through_dump(path, selection) if is_dump else look_through(path, MRT, selection))
        _tell(results[-1], found)
    for capture in found.captures:
        results.append(look_through(capture.path, PCAP, selection, capture.open))
        _tell(results[-1], found)
        _tell_of_capture(capture)
    return results


def _tell_skipped(found: ImportFiles) -> None:
    for reason, paths in found.skipped.items():
        names = ", ".join(path.name for path in paths[:_MOST_NAMES])
        more = f" and {len(paths) - _MOST_NAMES:,} more" if len(paths) > _MOST_NAMES else ""
        sys.stderr.write(f"skipped, {reason}: {names}{more}\n")


def _tell_of_capture(capture: Capture) -> None:
    """Report what had to be guessed about a capture's sessions, and what was not read."""
    for words in capture.guesses:
        sys.stderr.write(f"  {words}\n")
    for link, count in capture.unread_links.items():
        sys.stderr.write(f"  skipped {count:,} packets of link type {link}, which is not supported\n")


def _tell(one: Imported, found: ImportFiles) -> None:
    """Report one file on a line, and everything odd in it on a line each."""
    if one.was_imported:
        sys.stderr.write(f"{found.name(one.path)}: imported before\n")
        return
    what = _count(one.records, "record") + (f", {one.rejected:,} of them rejected" if one.rejected else "")
    left_out = f", {one.left_out:,} left out as not asked for" if one.left_out else ""
    tables = f", {_count(one.tables, 'table')} with {_count(one.routes, 'route')}" if one.tables else ""
    sys.stderr.write(f"{found.name(one.path)}: {what}{left_out}{tables}\n")
    if one.grown:
        sys.stderr.write("  it has grown since it was imported: only what is new is counted\n")
    elif one.continued:
        sys.stderr.write("  continued where an interrupted import had stopped: what that one stored is not counted\n")
    if one.joined:
        sys.stderr.write(f"  its sessions continue in {_count(one.joined, 'file')} behind it, imported before\n")
    if one.twice:
        sys.stderr.write(f"  {one.twice:,} routes are listed twice: the last one counts\n")
    if one.differ:
        sys.stderr.write(f"  {one.differ:,} tables differ from what the earlier UPDATEs give: see bgpledger verify\n")
    for reason, count in list(one.reasons.items())[:_MOST_REASONS]:
        sys.stderr.write(f"  rejected {count:,}: {reason}\n")
    for name, count in list(one.others.items())[:_MOST_REASONS]:
        sys.stderr.write(f"  skipped {count:,} of MRT type {name}, which hold no BGP message or route\n")
    if len(one.others) > _MOST_REASONS:
        sys.stderr.write(f"  skipped {sum(list(one.others.values())[_MOST_REASONS:]):,} of other MRT types\n")
    if one.fault:
        cause = one.fault.cause.replace(str(one.path), found.name(one.path))
        sys.stderr.write(f"  {cause} (cure: {one.fault.cure})\n")
    if one.has_no_bgp:
        sys.stderr.write(
            f"error: {found.name(one.path)} holds no BGP message or route\n"
            "cure: give an MRT file of BGP updates or a RIB dump\n"
        )


def _sum_up(results: Sequence[Imported]) -> None:
    records, seconds = sum(one.records for one in results), sum(one.seconds for one in results)
    rate = f" in {seconds:.1f} s: {records / seconds:,.0f}/s" if seconds and records else ""
    sys.stderr.write(f"{_count(records, 'record')} of {_count(len(results), 'file')}{rate}\n")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
