"""The formats that answers can take; a new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import TextIO

from pydantic import BaseModel

from collector.present import bgpdump, bgpreader, lines, prometheus, separated, table

Writer = Callable[[AsyncIterator[BaseModel], type[BaseModel], TextIO], Awaitable[int]]


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PSV = "psv"
    BGPDUMP = "bgpdump"
    BGPREADER = "bgpreader"
    PROMETHEUS = "prometheus"


WITHOUT_WITHDRAWN_ROUTES = frozenset((Format.BGPDUMP, Format.BGPREADER))
"""Of a withdrawal these show the prefix alone."""

_WRITERS: dict[Format, Writer] = {
    Format.TABLE: table.write,
    Format.JSON: lines.write_json,
    Format.JSONL: lines.write,
    Format.CSV: separated.write_csv,
    Format.PSV: separated.write_psv,
    Format.BGPDUMP: bgpdump.write,
    Format.BGPREADER: bgpreader.write,
    Format.PROMETHEUS: prometheus.write,
}


async def write(answers: AsyncIterator[BaseModel], kind: type[BaseModel], form: Format, stream: TextIO) -> int:
    """Write answers of one kind to a stream; how many there were."""
    return await _WRITERS[form](answers, kind, stream)
