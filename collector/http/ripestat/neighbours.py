"""`asn-neighbours`: the ASes next to one in the AS paths of all current routes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from bgpledger import Route, parse_filter, parse_time
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Json, OfResource, answer, parse_resource
from collector.http.ripestat.sources import Sources, path_of

router = APIRouter()
Side = dict[int, list[Route]]
"""The neighbours on one side of an AS, and the routes through both."""


class _AsnNeighbours(OfResource):
    query_time: str | None = Field(None, max_length=100, description="The time; default: now.")
    lod: int = Field(0, ge=0, le=1, description="1: also the AS paths; only in version 4.1.")


@router.get("/asn-neighbours/data.json", summary="The ASes beside one in AS paths")
async def asn_neighbours(context: QueryContextDep, wanted: Annotated[_AsnNeighbours, Query()]) -> JSONResponse:
    """The ASes next to one in the AS paths of the routes at a given time: left is towards us, right is away from us."""

    async def work(call: Call) -> Json:
        asn = parse_resource(wanted.resource, call.notes.append).only_asn()
        at = parse_time(wanted.query_time) or datetime.now(UTC)
        sources = await Sources.of_call(call)
        through = call.archive.rib(None, parse_filter({"as_path": f"_{asn}_"}), at=at, deadline=call.deadline)
        left, right = sides(call, await call.all_of(through), asn)
        earlier = (wanted.preferred_version or "").startswith("4")
        neighbours = [
            _earlier(call, sources, side, one, routes, lod=wanted.lod) if earlier else _now(sources, side, one, routes)
            for side, found in (("left", left), ("right", right))
            for one, routes in sorted(found.items(), key=lambda item: -len(item[1]))
        ]
        return {
            "neighbour_counts": {
                "left": len(left),
                "right": len(right),
                "unique": len(left.keys() | right.keys()),
                "uncertain": 0,
            },
            "neighbours": neighbours,
            "resource": str(asn),
            "query_time": call.time(at),
            "lod": wanted.lod,
            "latest_time": call.time(datetime.now(UTC)),
            "earliest_time": call.time(sources.since or at),
        }

    return await answer("asn-neighbours", "5.0", context, wanted, work)


def sides(call: Call, routes: list[Route], asn: int) -> tuple[Side, Side]:
    """The neighbours of an AS towards us, and away from us; prepending does not make it its own neighbour."""
    left: Side = {}
    right: Side = {}
    for route in routes:
        path = [one for one, _ in groupby(path_of(route, call))]
        for place, one in enumerate(path):
            if one == asn:
                if place:
                    left.setdefault(path[place - 1], []).append(route)
                if place + 1 < len(path):
                    right.setdefault(path[place + 1], []).append(route)
    return left, right


def _peers(sources: Sources, routes: list[Route]) -> dict[str, int]:
    return {
        family: len({sources.id(one) for one in routes if one.family.startswith(f"ip{family}")})
        for family in ("v4", "v6")
    }


def _now(sources: Sources, side: str, asn: int, routes: list[Route]) -> Json:
    peers = _peers(sources, routes)
    return {"asn": asn, "type": side, "power": len(routes), "v4_peers": peers["v4"], "v6_peers": peers["v6"]}


def _earlier(call: Call, sources: Sources, side: str, asn: int, routes: list[Route], *, lod: int) -> Json:
    """As in version 4.1 of the call."""
    found: Json = {"asn": asn, "position": side}
    if lod:
        paths: dict[str, list[Route]] = {}
        for route in routes:
            paths.setdefault(" ".join(map(str, path_of(route, call))), []).append(route)
        found["details"] = {
            "peer_count": _peers(sources, routes),
            "path_count": len(paths),
            "paths": [{"path": path, "locations": _locations(sources, those)} for path, those in paths.items()],
        }
    return found


def _locations(sources: Sources, routes: list[Route]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {"v4": [], "v6": []}
    for number in sorted({sources.number(one) for one in routes}):
        peers = _peers(sources, [one for one in routes if sources.number(one) == number])
        for family, count in peers.items():
            if count:
                found[family].append({"location": f"rrc{number}", "peer_count": count})
    return found
