"""Looking glass: the routes to an address or a prefix, now or at any past time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import Route, parse_filter, parse_prefix, parse_time
from collector.http.pages.rendering import Shown, link, page_router, render
from collector.http.parameters import TIME, text
from collector.http.query_context import QueryContext, QueryContextDep
from collector.query.filters import origins_of

router = page_router()

Match = Literal["longest", "exact", "covering", "more_specific"]
_MATCHES: dict[Match, str] = {
    "longest": "Longest match",
    "exact": "Exact",
    "covering": "Covering",
    "more_specific": "More specific",
}
_ROWS = 500
_STEPS = (("1 h", 3600), ("1 min", 60), ("1 s", 1))


class _Wanted(Shown):
    q: str | None = text("An address, or a prefix.")
    at: str | None = text(TIME)
    match: Match | None = None
    peer: str | None = text("Only of this peer.")


@router.get("/lookup")
async def lookup(request: Request, context: QueryContextDep, wanted: Annotated[_Wanted, Query()]) -> HTMLResponse:
    """Each peer's route to an address, and the time that is shown."""
    status = await context.archive.status()
    now = datetime.now(UTC)
    moment = parse_time(wanted.at)
    prefix = parse_prefix(wanted.q, say=context.notes.append) if wanted.q else None
    match: Match = wanted.match or ("exact" if wanted.q and "/" in wanted.q else "longest")
    routes, more = await _routes(context, prefix, match, wanted) if prefix else ([], False)
    return render(
        request,
        "lookup.html",
        wanted=wanted,
        prefix=prefix,
        match=match,
        matches=_MATCHES,
        routes=routes,
        found=Counter(route.prefix for route in routes if route.prefix and route.state != "unknown").most_common(1),
        more=more,
        most_rows=_ROWS,
        origins=Counter(asn for route in routes for asn in origins_of(route.as_path)).most_common(),
        at=moment,
        begin=status.archive_since or now,
        end=max(status.archive_upto or now, moment or now) if status.state == "stopped" else now,
        steps=_steps(wanted, moment or now, now),
        notes=context.notes,
    )


async def _routes(context: QueryContext, prefix: str, match: Match, wanted: _Wanted) -> tuple[Sequence[Route], bool]:
    """The routes, and whether there are more than are shown."""
    filters = parse_filter({"peer": wanted.peer}, say=context.notes.append)
    name = "less_specific" if match == "covering" else match
    routes: list[Route] = []
    async with context.archive.rib(prefix, filters, match=name, at=wanted.at, deadline=context.deadline) as found:
        async for route in found:
            if match == "covering" and route.prefix == prefix:
                continue
            if len(routes) == _ROWS:
                return routes, True
            routes.append(route)
    return routes, False


def _steps(wanted: _Wanted, at: datetime, now: datetime) -> list[tuple[str, str]]:
    """Times before and after the one that is shown: the label and the link of each."""
    shifts = [*((f"− {name}", -seconds) for name, seconds in _STEPS), *((f"+ {n}", s) for n, s in reversed(_STEPS))]
    moments = [(name, at + timedelta(seconds=seconds)) for name, seconds in shifts]
    return [
        (name, link("/lookup", q=wanted.q, at=moment, match=wanted.match, peer=wanted.peer))
        for name, moment in moments
        if moment <= now
    ]
