"""Which prefix: where the pages Prefix and Replay begin, with the prefixes of the latest messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, NamedTuple

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from bgpledger import parse_filter, parse_prefix
from collector.http.pages.rendering import Shown, iso, link, page_router, render
from collector.http.query_context import QueryContext, QueryContextDep

router = page_router()

_ENTRIES, _ROWS = 500, 15
_TICK = timedelta(milliseconds=1)
_PATIENCE = 0.5
"""Seconds for finding them."""


class _Wanted(Shown):
    q: str | None = Field(None, max_length=100)


class Lately(NamedTuple):
    """A prefix with recent messages."""

    prefix: str
    times: int
    """How often it occurs in the newest entries."""
    last: datetime


@router.get("/prefix")
async def prefix(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> Response:
    """Redirect to the time line of a prefix."""
    return await _which(request, context, wanted.q, "/prefix")


@router.get("/replay")
async def replay(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> Response:
    """Redirect to the replay of a prefix."""
    return await _which(request, context, wanted.q, "/replay")


async def _which(request: Request, context: QueryContext, given: str | None, page: str) -> Response:
    if given:
        return RedirectResponse(link(f"{page}/{parse_prefix(given)}"), HTTPStatus.SEE_OTHER)
    return render(request, "which.html", page=page, lately=await _lately(context), most_entries=_ENTRIES)


async def _lately(context: QueryContext) -> Sequence[Lately]:
    """The prefixes of the newest entries, those with the most messages first."""
    upto = (await context.archive.status()).archive_upto
    if upto is None:
        return []
    filters = parse_filter({"elem": "announce,withdraw", "end": iso(upto + _TICK)})
    found: dict[str, Lately] = {}
    quiet = context.archive.telling(lambda _: None)
    async with quiet.search(
        filters, limit=_ENTRIES, complete=False, patience=_PATIENCE, deadline=context.deadline
    ) as entries:
        async for entry in entries:
            if entry.prefix:
                known = found.get(entry.prefix)
                found[entry.prefix] = Lately(entry.prefix, known.times + 1 if known else 1, entry.ts)
    return sorted(found.values(), key=lambda one: (one.times, one.last), reverse=True)[:_ROWS]
