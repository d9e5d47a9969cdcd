"""The output formats; a new one is a module, and a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import BaseModel

from collector.present.names import Format
from schemas.query import Route

if TYPE_CHECKING:
    from collector.query.batch import Batch

Writer = Callable[[AsyncIterator[BaseModel], type[BaseModel], TextIO], Awaitable[int]]
RouteWriter = Callable[["AsyncIterator[Batch]", datetime, TextIO], Awaitable[int]]


WITHOUT_WITHDRAWN_ROUTES: frozenset[Format] = frozenset(("bgpdump", "bgpreader"))
"""Formats that show only the prefix of a withdrawal."""

_WRITERS: dict[Format, tuple[str, str]] = {
    "table": ("table", "write"),
    "json": ("lines", "write_json"),
    "jsonl": ("lines", "write"),
    "csv": ("separated", "write_csv"),
    "psv": ("separated", "write_psv"),
    "bgpdump": ("bgpdump", "write"),
    "bgpreader": ("bgpreader", "write"),
    "prometheus": ("prometheus", "write"),
}
"""The module of each format, and a function in it: only the module of the requested format is imported."""

_ROUTE_WRITERS: dict[Format, tuple[str, str]] = {
    "table": ("table", "write_routes"),
    "json": ("lines", "write_routes_json"),
    "jsonl": ("lines", "write_routes"),
    "csv": ("separated", "write_routes_csv"),
    "psv": ("separated", "write_routes_psv"),
    "bgpdump": ("bgpdump", "write_routes"),
    "bgpreader": ("bgpreader", "write_routes"),
}


async def write(
    answers: AsyncIterator[Any],
    kind: type[BaseModel],
    form: Format,
    stream: TextIO,
    *,
    at: datetime | None = None,
) -> int:
    """Write answers of one kind to a stream; returns their number.

    Args:
        answers: the answers: models, or, for routes, batches, which most formats write from their stored form.
        kind: the type of all answers.
        form: the format.
        stream: the output.
        at: the time of the routes; None: now.
    """
    if kind is Route:
        write_routes: RouteWriter = _found(_ROUTE_WRITERS[form])
        return await write_routes(answers, at or datetime.now(UTC), stream)
    return await write_models(answers, kind, form, stream)


async def write_models(answers: AsyncIterator[Any], kind: type[BaseModel], form: Format, stream: TextIO) -> int:
    """Write answers of one kind that are all models, including routes; returns their number."""
    writer: Writer = _found(_WRITERS[form])
    return await writer(answers, kind, stream)


def _found(name: tuple[str, str]) -> Any:
    module, function = name
    return getattr(import_module(f"collector.present.{module}"), function)
