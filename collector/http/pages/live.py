"""Live: what peers say, as it is stored; the browser follows `/api/v1/live`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import OfPrefixes, RouteFilters, text
from collector.http.query_context import QueryContextDep
from collector.query.filter_names import FILTERS

router = page_router()


class _Wanted(RouteFilters, OfPrefixes, Shown):
    elem: str | None = text(FILTERS["elem"])


@router.get("/live")
async def live(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> HTMLResponse:
    """An empty table, which fills by itself; the filters are checked at once."""
    wanted.filter(context)
    given = wanted.model_dump(exclude_none=True)
    return render(request, "live.html", wanted=wanted, given=given, notes=context.notes)
