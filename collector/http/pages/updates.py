"""Updates: what peers said about any prefixes, by any filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import HistoryEntry
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import EntryFilters, OfPrefixes
from collector.http.query_context import QueryContextDep

router = page_router()

_ROWS = 200
_PATIENCE = 0.5
"""Seconds for finding entries."""
_FIRST_LOOK = timedelta(hours=1)


class _Wanted(EntryFilters, OfPrefixes, Shown):
    pass


@router.get("/updates")
async def updates(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> HTMLResponse:
    """The newest entries that match the filters; without a time, those of the archive's last hour."""
    if wanted.start is None and wanted.duration is None:
        upto = (await context.archive.status()).archive_upto or datetime.now(UTC)
        filters = wanted.filter(context)
        start = min(filters.end or upto, upto) - _FIRST_LOOK
        filters = wanted.filter(context, start=start.isoformat())
    else:
        filters = wanted.filter(context)
    async with context.archive.search(filters, limit=_ROWS, patience=_PATIENCE, deadline=context.deadline) as answers:
        found: list[HistoryEntry] = [entry async for entry in answers]
    given = wanted.model_dump(exclude_none=True)
    return render(
        request,
        "updates.html",
        wanted=wanted,
        filters=filters,
        given=given,
        entries=found[::-1],
        most_rows=_ROWS,
        notes=context.notes,
    )
