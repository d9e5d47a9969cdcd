"""Compare: which routes appeared, went or changed between two times."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import Filter, RouteChange, parse_filter
from collector.http.asking import Asked, Asking
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import TIME, text

router = page_router()

_ROWS = 500


class _Wanted(Shown):
    earlier: str | None = text(TIME)
    later: str | None = text(f"{TIME} Without it, now.")
    prefix: str | None = text("Only of this prefix.")
    peer: str | None = text("Only of this peer.")
    origin: str | None = text("Only what this AS originates.")


@router.get("/compare")
async def compare(request: Request, asked: Asked, wanted: Annotated[_Wanted, Query()]) -> HTMLResponse:
    """What became of routes between two times."""
    filters = parse_filter({"peer": wanted.peer, "origin": wanted.origin}, say=asked.notes.append)
    changes = await _changes(asked, wanted, filters) if wanted.earlier else []
    counts = {event: sum(one.event == event for one in changes) for event in ("appeared", "went", "changed")}
    return render(
        request,
        "compare.html",
        wanted=wanted,
        changes=changes[:_ROWS],
        counts=counts,
        most_rows=_ROWS,
        more=len(changes) > _ROWS,
        notes=asked.notes,
    )


async def _changes(asked: Asking, wanted: _Wanted, filters: Filter) -> list[RouteChange]:
    """All of them: how many appeared, went and changed is told of all."""
    ask = asked.archive.diff
    deadline = asked.deadline
    async with ask(wanted.earlier, wanted.later or "now", wanted.prefix, filters, deadline=deadline) as answers:
        return [change async for change in answers]
