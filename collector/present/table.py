"""`table`: aligned columns for people; `columns_of_routes` and `columns_of_status` define their content."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TextIO

from pydantic import BaseModel

from collector.present import columns_of_routes
from collector.present.columns import ALWAYS, Column, cell_text
from collector.present.layout import Layout, bold, terminal_width, text_width
from schemas.query import FoundEntry, LiveEntry, Route

if TYPE_CHECKING:
    from collector.query.batch import Batch

_PART = 500
"""The number of rows that decide the column widths; longer tables are printed in such parts."""
_PATIENCE: dict[type[BaseModel], float] = {LiveEntry: 0.1, FoundEntry: 2.0}
"""Seconds that rows wait for further rows; answers of other kinds wait for all."""


async def write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], stream: TextIO) -> int:
    """Write answers as one table, a part at a time; a status or a verification as a list of facts."""
    columns = _columns_of(kind)
    if columns is None:
        return await _write_reports(answers, stream)
    count = 0
    width = terminal_width(stream)
    part: _Part | None = None
    async for rows, more in _parts(answers, _PATIENCE.get(kind)):
        count += len(rows)
        part = _Part.of(columns, rows, part, more=more, width=width)
        part.print(stream)
    if not count:
        _Part.of(columns, [], None, width=width).print(stream)
    return count


def _columns_of(kind: type[BaseModel]) -> Sequence[Column] | None:
    """The columns of a kind of answer; None: it is a list of facts."""
    if kind in columns_of_routes.COLUMNS:
        return columns_of_routes.COLUMNS[kind]
    from collector.present import columns_of_status

    return columns_of_status.COLUMNS.get(kind)


async def _write_reports(answers: AsyncIterator[BaseModel], stream: TextIO) -> int:
    """Write each answer as a list of facts, and below it the findings of a verification as a table."""
    from collector.present.facts import print_facts
    from schemas.status import Verification

    count = 0
    async for answer in answers:
        count += 1
        print_facts(answer, stream)
        if isinstance(answer, Verification) and answer.findings:
            stream.write("\n")
            findings = _columns_of(answer.findings[0].__class__) or ()
            _Part.of(findings, answer.findings, None, width=terminal_width(stream)).print(stream)
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
