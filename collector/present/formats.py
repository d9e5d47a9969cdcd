"""The formats that answers can take; a new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TextIO

from pydantic import BaseModel

from collector.present import bgpdump, bgpreader, lines, prometheus, separated, table
from collector.present.names import Format
from schemas.query import Route

Writer = Callable[[AsyncIterator[BaseModel], type[BaseModel], TextIO], Awaitable[int]]
RouteWriter = Callable[[AsyncIterator[BaseModel], datetime, TextIO], Awaitable[int]]


WITHOUT_WITHDRAWN_ROUTES: frozenset[Format] = frozenset(("bgpdump", "bgpreader"))
"""Of a withdrawal these show the prefix alone."""

_WRITERS: dict[Format, Writer] = {
    "table": table.write,
    "json": lines.write_json,
    "jsonl": lines.write,
    "csv": separated.write_csv,
    "psv": separated.write_psv,
    "bgpdump": bgpdump.write,
    "bgpreader": bgpreader.write,
    "prometheus": prometheus.write,
}


_ROUTE_WRITERS: dict[Format, RouteWriter] = {
    "bgpdump": bgpdump.write_routes,
    "bgpreader": bgpreader.write_routes,
}
"""Those that print with each route at what moment it stands."""


async def write(
    answers: AsyncIterator[BaseModel],
    kind: type[BaseModel],
    form: Format,
    stream: TextIO,
    *,
    at: datetime | None = None,
) -> int:
    """Write answers of one kind to a stream; how many there were.

    Args:
        answers: what is written.
        kind: what all of them are.
        form: how.
        stream: where to.
        at: the moment at which routes stand; None: now.
    """
    if kind is Route and form in _ROUTE_WRITERS:
        return await _ROUTE_WRITERS[form](answers, at or datetime.now(UTC), stream)
    return await _WRITERS[form](answers, kind, stream)
