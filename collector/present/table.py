"""`table`: aligned columns for people. On a terminal long cells fold to its width; in a pipe a row is one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TextIO, cast

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from schemas.query import (
    CollectorStatus,
    Finding,
    HistoryEntry,
    PeerStatus,
    Route,
    RouteChange,
    SpoolSegment,
    Verification,
)

_PIPE_WIDTH = 100_000
_FOLDED_WIDTH = 14


class _Column(NamedTuple):
    title: str
    cell: Callable[[Any], object]
    right: bool = False
    folds: bool = False
    """A long cell may go on in the next line; other columns are never narrower than what they hold."""


async def write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write answers as one table; a single status or verification as a list of its facts."""
    rows = [answer async for answer in answers]
    _print(_facts(rows[0]) if kind in (CollectorStatus, Verification) else _table(_COLUMNS[kind], rows), stream)
    if kind is Verification and (findings := cast("Verification", rows[0]).findings):
        stream.write("\n")
        _print(_table(_COLUMNS[Finding], findings), stream)
    return len(rows)


def _print(table: Table, stream: TextIO) -> None:
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, _least_width(console, table)) if stream.isatty() else _PIPE_WIDTH
    with console.capture() as text:
        console.print(table)
    stream.write("".join(f"{line.rstrip()}\n" for line in text.get().splitlines()))


def _least_width(console: Console, table: Table) -> int:
    """A terminal that is narrower folds whole lines, which reads better than folded columns."""
    return table.__rich_measure__(console, console.options.update(width=_PIPE_WIDTH)).minimum


def _table(columns: Sequence[_Column], rows: Sequence[BaseModel]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # A column that says nothing in any row only takes room.
    shown = [(column, [_text(column.cell(row)) for row in rows]) for column in columns]
    shown = [(column, cells) for column, cells in shown if any(cells) or column.title in _ALWAYS]
    for column, _ in shown:
        grid.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
            min_width=_FOLDED_WIDTH if column.folds else None,
        )
    for cells in zip(*(cells for _, cells in shown), strict=True):
        grid.add_row(*cells)
    return grid


def _facts(answer: BaseModel) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in answer:
        if name == "versions":
            value = ", ".join(f"{what} {version}" for what, version in value.items())
        elif name == "findings":
            value = len(value)
        grid.add_row(name.replace("_", " "), _text(value))
    return grid


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return str(value)


def _to_the_millisecond(entry: HistoryEntry) -> str:
    return f"{_text(entry.ts)}.{entry.ts.microsecond // 1000:03}"


def _age(status: PeerStatus) -> str:
    if status.keepalive_age is None:
        return ""
    return f"{timedelta(seconds=round(status.keepalive_age))} ago"


def _what_changed(change: RouteChange) -> str:
    """Of a change the values before and after it; of all else the path."""
    before, after = change.before, change.after
    if before and after:
        names = change.changed or ()
        return ", ".join(f"{name}: {_text(getattr(before, name))} -> {_text(getattr(after, name))}" for name in names)
    route = before or after
    return (route.as_path or "") if route else ""


def _all_communities(entry: HistoryEntry | Route) -> list[str]:
    extended = [one.text or f"0x{one.hex}" for one in entry.extended_communities or ()]
    return [*(entry.communities or ()), *(entry.large_communities or ()), *extended]


_ALWAYS = {"time (UTC)", "peer", "AS", "prefix", "event", "address", "state", "updates", "routes"}

_ROUTE = (
    _Column("path id", lambda route: route.path_id, right=True),
    _Column("RD", lambda route: route.rd),
    _Column("next hop", lambda route: route.next_hop),
    _Column("AS path", lambda route: route.as_path, folds=True),
    _Column("origin", lambda route: route.origin),
    _Column("MED", lambda route: route.med, right=True),
    _Column("pref", lambda route: route.local_pref, right=True),
    _Column("communities", _all_communities, folds=True),
)

_COLUMNS: dict[type[BaseModel], Sequence[_Column]] = {
    HistoryEntry: (
        _Column("time (UTC)", _to_the_millisecond),
        _Column("peer", lambda entry: entry.peer.address),
        _Column("AS", lambda entry: entry.peer.asn, right=True),
        _Column("event", lambda entry: entry.event.replace("_", " ")),
        *_ROUTE,
        _Column("reason", lambda entry: entry.reason, folds=True),
    ),
    Route: (
        _Column("peer", lambda route: route.peer.address),
        _Column("AS", lambda route: route.peer.asn, right=True),
        _Column("prefix", lambda route: route.prefix),
        _Column("state", lambda route: "" if route.state == "stands" else route.state),
        *_ROUTE,
        _Column("since (UTC)", lambda route: route.since),
    ),
    RouteChange: (
        _Column("peer", lambda change: change.peer.address),
        _Column("AS", lambda change: change.peer.asn, right=True),
        _Column("prefix", lambda change: change.prefix),
        _Column("event", lambda change: change.event),
        _Column("what", _what_changed, folds=True),
        _Column("since (UTC)", lambda change: (change.after or change.before).since),
    ),
    Finding: (
        _Column("what", lambda finding: finding.what),
        _Column("lines", lambda finding: finding.lines),
        _Column("peer", lambda finding: finding.peer),
        _Column("session", lambda finding: finding.session),
        _Column("detail", lambda finding: finding.detail, folds=True),
    ),
    SpoolSegment: (
        _Column("state", lambda segment: segment.state),
        _Column("first line", lambda segment: segment.first, right=True),
        _Column("lines", lambda segment: segment.lines, right=True),
        _Column("bytes", lambda segment: segment.bytes, right=True),
        _Column("last written (UTC)", lambda segment: segment.last_written),
        _Column("file", lambda segment: segment.path, folds=True),
    ),
    PeerStatus: (
        _Column("address", lambda peer: peer.address),
        _Column("AS", lambda peer: peer.asn, right=True),
        _Column("state", lambda peer: peer.state),
        _Column("since (UTC)", lambda peer: peer.since),
        _Column("keepalive", _age, right=True),
        _Column("updates", lambda peer: peer.updates, right=True),
        _Column("routes", lambda peer: peer.routes, right=True),
        _Column("description", lambda peer: peer.description, folds=True),
        _Column("reason", lambda peer: peer.reason, folds=True),
    ),
}
