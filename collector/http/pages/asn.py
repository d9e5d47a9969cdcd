"""An AS: what it originates, who is next to it in the paths, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import Route, UsageError, parse_filter, parse_time
from collector.http.asking import Asked
from collector.http.graph.story import hops_of
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import text
from schemas.scalars import parse_asn

router = page_router()

_ROWS = 500
"""Of a table; more are counted."""
_CHANGES = 50


class AsAsked(Shown):
    """The moment."""

    at: str | None = text("The moment; without, now.")


class Originated(NamedTuple):
    """A prefix that it originates."""

    prefix: str
    peers: int
    since: datetime


class AsInTables(NamedTuple):
    """What the tables of all peers have of an AS."""

    originated: list[Originated]
    left: Counter[str]
    """Next to it towards us: how many routes lead from each."""
    right: Counter[str]
    """Next to it towards the origin."""
    routes: int


@router.get("/as/{asn}")
async def autonomous_system(
    request: Request, asn: str, asked: Asked, wanted: Annotated[AsAsked, Query()]
) -> HTMLResponse:
    """The page."""
    try:
        number = parse_asn(asn)
    except ValueError as error:
        raise UsageError(f"{asn!r}: {error}", "give a number, such as 64500, AS64500 or 1.10") from None
    moment = parse_time(wanted.at)
    through = parse_filter({"as_path": f"_{number}_"})
    async with asked.archive.rib(None, through, at=moment, deadline=asked.deadline) as routes:
        seen = _look([route async for route in routes], str(number))
    origin = parse_filter({"origin": str(number), "end": wanted.at})
    async with asked.archive.search(origin, limit=_CHANGES, deadline=asked.deadline) as entries:
        changes = [entry async for entry in entries if entry.prefix]
    return render(
        request,
        "as.html",
        asn=number,
        moment=moment or datetime.now(UTC),
        at=wanted.at,
        seen=seen,
        rows=_ROWS,
        changes=changes[::-1],
        notes=[*dict.fromkeys(asked.notes)],
    )


def _look(routes: Iterable[Route], asn: str) -> AsInTables:
    peers: dict[str, set[str]] = {}
    since: dict[str, datetime] = {}
    left, right = Counter[str](), Counter[str]()
    count = 0
    for route in routes:
        hops = hops_of(route.as_path or "")
        if route.state == "unknown" or asn not in hops:
            continue  # in a set, it is next to nobody
        count += 1
        at = hops.index(asn)
        if at:
            left[hops[at - 1]] += 1
        if at + 1 < len(hops):
            right[hops[at + 1]] += 1
        elif route.prefix:
            peers.setdefault(route.prefix, set()).add(route.peer.name)
            since[route.prefix] = min(since.get(route.prefix, route.since), route.since)
    originated = [Originated(prefix, len(names), since[prefix]) for prefix, names in peers.items()]
    return AsInTables(originated, left, right, count)
