"""`bgp-state`, `looking-glass` and `network-info`: routes at a given time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from bgpledger import Route, parse_filter, parse_time
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Json, OfResource, Resource, answer, parse_resource
from collector.http.ripestat.sources import Sources, path_of, ripestat_communities

router = APIRouter()


class _State(OfResource):
    timestamp: str | None = Field(None, max_length=100, description="The time; default: now.")
    rrcs: str | None = Field(None, max_length=200, description="Only of these collectors, by their numbers: 0,1.")


class _Glass(OfResource):
    timestamp: str | None = Field(None, max_length=100, description="The time; default: now. RIPEstat has none.")
    look_back_limit: int = Field(86_400, ge=0, description="Ignored: current routes are shown, however old.")


@router.get("/bgp-state/data.json", summary="Routes as they stood at a moment")
async def bgp_state(context: QueryContextDep, wanted: Annotated[_State, Query()]) -> JSONResponse:
    """The routes to a prefix, or of an AS, at a given time, to the second."""

    async def work(call: Call) -> Json:
        resource, at = parse_resource(wanted.resource, call.notes.append), _moment(wanted.timestamp)
        sources = await Sources.of_call(call)
        numbers = {f"{int(word):02}" for word in (wanted.rrcs or "").split(",") if word.strip().isdecimal()}
        routes = [one for one in await routes_at(call, resource, at) if not numbers or sources.number(one) in numbers]
        return {
            "resource": resource.text,
            "timestamp": call.time(at),
            "bgp_state": [
                {
                    "target_prefix": route.prefix,
                    "source_id": sources.id(route),
                    "path": path_of(route, call),
                    "community": ripestat_communities(route),
                }
                for route in routes
            ],
            "nr_routes": len(routes),
        }

    return await answer("bgp-state", "1.2", context, wanted, work)


@router.get("/looking-glass/data.json", summary="Routes as the peers of each collector have them")
async def looking_glass(context: QueryContextDep, wanted: Annotated[_Glass, Query()]) -> JSONResponse:
    """The routes to a prefix, or an address' longest matches, by collector and peer, now or at a given time."""

    async def work(call: Call) -> Json:
        resource, at = parse_resource(wanted.resource, call.notes.append), _moment(wanted.timestamp)
        sources = await Sources.of_call(call)
        rrcs: dict[str, Json] = {}
        for route in await routes_at(call, resource, at):
            number = sources.number(route)
            # RIPEstat also has `scope`, which prsw rejects.
            rrc = rrcs.setdefault(number, {"rrc": f"RRC{number}", "location": sources.name(number), "peers": []})
            rrc["peers"].append(_peer(call, route, at))
        parameters = {"resource": resource.text, "look_back_limit": wanted.look_back_limit, "cache": None}
        return {
            "rrcs": [rrcs[number] for number in sorted(rrcs)],
            "query_time": call.time(datetime.now(UTC)),
            "latest_time": call.time(at),
            "parameters": parameters,
        }

    return await answer("looking-glass", "2.1", context, wanted, work)


@router.get("/network-info/data.json", summary="Which prefix an address lies in, and who originates it")
async def network_info(context: QueryContextDep, wanted: Annotated[OfResource, Query()]) -> JSONResponse:
    """The most specific prefix that contains an address, and the ASes that originate it."""

    async def work(call: Call) -> Json:
        resource = parse_resource(wanted.resource, call.notes.append)
        routes = [one for one in await routes_at(call, resource, datetime.now(UTC)) if one.prefix]
        prefix = max((one.prefix or "" for one in routes), key=lambda one: int(one.partition("/")[2]), default="")
        asns = {path[-1] for one in routes if one.prefix == prefix and (path := path_of(one, call))}
        return {"asns": [str(asn) for asn in sorted(asns)], "prefix": prefix}

    return await answer("network-info", "1.1", context, wanted, work)


async def routes_at(call: Call, resource: Resource, at: datetime) -> list[Route]:
    """The routes to a resource at a given time: for an address its longest matches; a message mentions unknown ones."""
    found: list[Route] = []
    for prefix in resource.prefixes:
        found += await call.all_of(call.archive.rib(prefix, at=at, deadline=call.deadline))
    for address in resource.addresses:
        found += await call.all_of(call.archive.lookup(address, at=at, deadline=call.deadline))
    if resource.asns:
        filters = parse_filter({"origin": ",".join(map(str, resource.asns))})
        found += await call.all_of(call.archive.rib(None, filters, at=at, deadline=call.deadline))
    for route in found:
        if route.state == "unknown":
            call.tell("warning", f"whether {route.peer.address} has a route is not known: lines of it were lost")
    return [route for route in found if route.state != "unknown"]


def _moment(text: str | None) -> datetime:
    return parse_time(text) or datetime.now(UTC)


def _peer(call: Call, route: Route, at: datetime) -> Json:
    path = path_of(route, call)
    if not path:
        call.tell("info", "an empty AS path, as within an AS, is shown as the peer's own AS")
        path = [route.peer.asn]
    extended = [one.text or f"0x{one.hex}" for one in route.extended_communities or ()]
    return {
        "asn_origin": str(path[-1]),
        "as_path": " ".join(map(str, path)),
        "community": " ".join(route.communities or ()),
        "largeCommunity": " ".join(route.large_communities or ()),
        "extendedCommunity": " ".join(extended),
        "last_updated": call.time(route.since),
        "prefix": route.prefix,
        "peer": route.peer.address,
        "origin": (route.origin or "incomplete").upper(),
        "next_hop": route.next_hop or "",
        "latest_time": call.time(at),
        "community_info": {},
    }
