"""`table`: aligned columns for people; `table_columns` defines their content, `layout` arranges them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TextIO, cast

from pydantic import BaseModel

from collector.present.layout import Layout, bold, terminal_width, text_width
from collector.present.table_columns import ALWAYS, COLUMNS, Column, cell_text
from schemas.query import FoundEntry, LiveEntry, Route
from schemas.status import CollectorStatus, Finding, SpoolStatus, Verification

if TYPE_CHECKING:
    from collector.query.batch import Batch

_PART = 500
"""The number of rows that decide the column widths; longer tables are printed in such parts."""
_PATIENCE: dict[type[BaseModel], float] = {LiveEntry: 0.1, FoundEntry: 2.0}
"""Seconds that rows wait for further rows; answers of other kinds wait for all."""
_FACTS = (CollectorStatus, Verification)


async def write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write answers as one table, a part at a time; a status or a verification as a list of facts."""
    count = 0
    width = terminal_width(stream)
    part: _Part | None = None
    async for rows, more in _parts(answers, _PATIENCE.get(kind)):
        count += len(rows)
        if kind in _FACTS:
            _print_facts(rows[0], stream)
        else:
            part = _Part.of(COLUMNS[kind], rows, part, more=more, width=width)
            part.print(stream)
    if not count and kind not in _FACTS:
        _Part.of(COLUMNS[kind], [], None, width=width).print(stream)
    if kind is Verification and (findings := cast("Verification", rows[0]).findings):
        stream.write("\n")
        _Part.of(COLUMNS[Finding], findings, None, width=width).print(stream)
    return count


async def write_routes(batches: AsyncIterator[Batch], _at: datetime, stream: TextIO) -> int:
    """Write routes as `write` does."""
    from collector.query.batch import routes_of

    return await write(routes_of(batches), Route, stream)


async def _parts(
    answers: AsyncIterator[BaseModel], patience: float | None
) -> AsyncIterator[tuple[list[BaseModel], bool]]:
    """Answers in parts: enough to decide column widths, or what has arrived if the next answer is slow.

    Each part comes with whether it was cut short and more may follow.
    """
    if patience is None:
        async for whole in _whole_parts(answers):
            yield whole, False
        return
    rows: list[BaseModel] = []
    last = False
    while not last:
        coming = asyncio.ensure_future(anext(answers, None))
        try:
            await asyncio.wait([coming], timeout=patience if rows else None)
            if rows and not coming.done():
                yield rows, True
                rows = []
            answer = await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        last = answer is None
        if answer is not None:
            rows.append(answer)
        if rows and (last or len(rows) == _PART):
            yield rows, False
            rows = []


async def _whole_parts(answers: AsyncIterator[BaseModel]) -> AsyncIterator[list[BaseModel]]:
    rows: list[BaseModel] = []
    async for answer in answers:
        rows.append(answer)
        if len(rows) == _PART:
            yield rows
            rows = []
    if rows:
        yield rows


class _Part(NamedTuple):
    """Some rows of a table, and how it looks."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    widths: Sequence[int]
    layout: Layout
    header: bool

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        rows: Sequence[BaseModel],
        before: _Part | None,
        *,
        more: bool = False,
        width: int | None = None,
    ) -> _Part:
        """The next part; its columns continue those of the part before if possible."""
        cells = {column: [cell_text(column.cell(row)) for row in rows] for column in columns}
        # A column without any value only takes space.
        used = {column for column in columns if any(cells[column]) or column.title in ALWAYS}
        if more and not before:
            used |= {column for column in columns if column.usual}
        known = dict(zip(before.columns, before.widths, strict=True)) if before else {}
        shown = [column for column in columns if column in used or column in known]
        fresh = before is None or not used <= known.keys()
        widths = [
            max(
                known.get(column, 0),
                column.usual if more else 0,
                0 if known and not fresh else text_width(column.title),
                *map(text_width, cells[column]),
            )
            for column in shown
        ]
        layout = Layout.fitting(widths, [column.folds for column in shown], width)
        header = fresh or before is None or layout.of != before.layout.of
        return cls(shown, [cells[column] for column in shown], widths, layout, header)

    def print(self, stream: TextIO) -> None:
        """Write the rows."""
        titles = [column.title for column in self.columns]
        rights = [column.right for column in self.columns]
        if self.header:
            stream.writelines(f"{bold(line, stream)}\n" for line in self.layout.header(titles, rights))
        for row in zip(*self.cells, strict=True):
            stream.writelines(f"{line}\n" for line in self.layout.lines(titles, row, rights))


def _print_facts(answer: BaseModel, stream: TextIO) -> None:
    facts = [(name.replace("_", " "), cell_text(_of_a_report(name, value))) for name, value in answer]
    names = max(len(name) for name, _ in facts)
    width = terminal_width(stream)
    layout = Layout.fitting([names, max(text_width(value) for _, value in facts)], [False, True], width)
    for fact in facts:
        stream.writelines(f"{line}\n" for line in layout.lines(["", ""], fact, [False, False]))


def _of_a_report(name: str, value: object) -> object:
    if name == "versions" and isinstance(value, dict):
        return ", ".join(f"{what} {version}" for what, version in value.items())
    if name == "spools" and isinstance(value, list):
        return "; ".join(map(_spool, value))
    return len(value) if name == "findings" and isinstance(value, list) else value


def _spool(status: SpoolStatus) -> str:
    archiver = f"archiver {status.archiver}" if status.archiver else "no archiver"
    age = timedelta(seconds=round(status.lag_seconds))
    return f"{status.spool}: {archiver}" + (
        f", {status.waiting} lines wait, the oldest for {age}" if status.waiting else ""
    )
