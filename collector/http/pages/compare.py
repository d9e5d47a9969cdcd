"""Compare: which routes appeared, disappeared or changed between two times."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse

from bgpledger import Filter, RouteChange, parse_filter
from collector.http.pages.patience import EnoughError, up_to
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import TIME, QueryArguments, text
from collector.http.query_context import QueryContext, QueryContextDep

router = page_router()

_ROWS, _COUNTED = 500, 5000
_SECONDS = 1.5
"""How long tables are read, unless all of them are requested."""


class _Wanted(Shown):
    earlier: str | None = text(TIME)
    later: str | None = text(f"{TIME} Without it, now.")
    prefix: str | None = text("Only of this prefix.")
    peer: str | None = text("Only of this peer.")
    origin: str | None = text("Only what this AS originates.")
    whole: bool = Field(default=False, description="Compare everything, however long that takes.")


@router.get("/compare")
async def compare(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> HTMLResponse:
    """How routes changed between two times."""
    filters = parse_filter({"peer": wanted.peer, "origin": wanted.origin}, say=context.notes.append)
    changes: list[RouteChange] = []
    is_too_much = False
    if wanted.earlier:
        try:
            changes = await _changes(context, wanted, filters)
        except EnoughError:
            is_too_much = True
    counts = {event: sum(one.event == event for one in changes) for event in ("appeared", "went", "changed")}
    return render(
        request,
        "compare.html",
        wanted=wanted,
        changes=changes[:_ROWS],
        counts=counts,
        most_rows=_ROWS,
        most_counted=_COUNTED,
        more=len(changes) > _ROWS,
        is_too_much=is_too_much,
        is_cut=len(changes) == _COUNTED,
        notes=context.notes,
    )


async def _changes(context: QueryContext, wanted: _Wanted, filters: Filter) -> list[RouteChange]:
    """Enough changes to say how many there are, or that there are many."""
    ask = context.archive.diff
    how: QueryArguments = {"deadline": context.deadline}
    if not wanted.whole:
        how["progress"] = up_to(_SECONDS)
    changes: list[RouteChange] = []
    async with ask(wanted.earlier, wanted.later or "now", wanted.prefix, filters, **how) as answers:
        async for change in answers:
            changes.append(change)
            if len(changes) == _COUNTED:
                break
    return changes
