"""`ris-peers` and `routing-status`: how many routes peers have, and who sees a prefix or an AS."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from bgpledger import Answers, HistoryEntry, Route, parse_filter, parse_time
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Common, Json, OfResource, Resource, answer, parse_resource
from collector.http.ripestat.neighbours import sides
from collector.http.ripestat.sources import Sources, path_of
from collector.http.ripestat.states import routes_at

router = APIRouter()


class _RisPeers(Common):
    query_time: str | None = Field(None, max_length=100, description="The time; default: now.")


class _Status(OfResource):
    timestamp: str | None = Field(None, max_length=100, description="The time; default: now.")
    min_peers_seeing: int = Field(1, ge=0, description="How many peers must see a prefix; RIPEstat's default is 10.")


@router.get("/ris-peers/data.json", summary="The peers of each collector, and how many routes each has")
async def ris_peers(context: QueryContextDep, wanted: Annotated[_RisPeers, Query()]) -> JSONResponse:
    """The peers of each collector, with the number of their routes at a given time."""

    async def work(call: Call) -> Json:
        at = parse_time(wanted.query_time) or datetime.now(UTC)
        sources = await Sources.of_call(call)
        up = {sources.id(one): one for one in sources.sessions if one.since <= at and (not one.until or at < one.until)}
        counts: Counter[tuple[str, str]] = Counter()
        async with call.archive.rib_batches(at=at, deadline=call.deadline) as batches:
            async for batch in batches:
                source = sources.id(batch.rib.blank)
                for key, _ in batch.items:
                    counts[source, key.family[:4]] += 1
        peers: dict[str, list[Json]] = {}
        for name, one in sorted(up.items()):
            peer = {
                "asn": str(one.peer.asn),
                "ip": one.peer.address,
                "v4_prefix_count": counts[name, "ipv4"],
                "v6_prefix_count": counts[name, "ipv6"],
            }
            peers.setdefault(f"rrc{sources.number(one)}", []).append(peer)
        return {
            "peers": peers,
            "query_time": call.time(at),
            "latest_time": call.time(datetime.now(UTC)),
            "earliest_time": call.time(sources.since or at),
            "parameters": {"query_time": call.time(at)},
        }

    return await answer("ris-peers", "1.0", context, wanted, work)


@router.get("/routing-status/data.json", summary="Who sees a prefix or an AS")
async def routing_status(context: QueryContextDep, wanted: Annotated[_Status, Query()]) -> JSONResponse:
    """When a prefix or an AS was first and last seen, how many peers see it, and related prefixes."""

    async def work(call: Call) -> Json:
        resource = parse_resource(wanted.resource, call.notes.append)
        at = parse_time(wanted.timestamp) or datetime.now(UTC)
        sources = await Sources.of_call(call)
        routes = await routes_at(call, resource, at)
        seen = await _seen(call, resource, routes, at)
        common = {
            **seen,
            "visibility": _visibility(sources, routes, at),
            "resource": resource.text,
            "query_time": call.time(at),
        }
        if resource.asns:
            return common | await _of_asn(call, resource.only_asn(), routes, at)
        return common | await _of_prefix(call, resource, routes, at)

    return await answer("routing-status", "3.0", context, wanted, work)


async def _seen(call: Call, resource: Resource, routes: list[Route], at: datetime) -> Json:
    """When it was first announced, and last."""
    resource_filter = {"origin": ",".join(map(str, resource.asns))} if resource.asns else {"prefix": _names(resource)}
    filters = parse_filter({**resource_filter, "elem": "announce", "end": at.isoformat()})
    first: HistoryEntry | None = None
    async with call.archive.search(filters, everything=True, deadline=call.deadline) as answers:
        async for one in answers:
            if one.event == "announce":
                first = one
                break
    newest: Answers[HistoryEntry] = call.archive.search(filters, everything=True, limit=1, deadline=call.deadline)
    last = next((one for one in reversed(await call.all_of(newest)) if one.event == "announce"), None)
    found = {"first_seen": _sighting(call, first), "last_seen": _sighting(call, last)}
    if routes and last:  # it is still seen
        found["last_seen"]["time"] = call.time(at)
    return found


def _names(resource: Resource) -> str:
    return ",".join((*resource.prefixes, *resource.addresses))


def _sighting(call: Call, entry: HistoryEntry | None) -> Json:
    if entry is None:
        return {}
    path = path_of(entry, call) or [entry.peer.asn]
    return {"prefix": entry.prefix, "origin": str(path[-1]), "time": call.time(entry.ts)}


def _visibility(sources: Sources, routes: list[Route], at: datetime) -> Json:
    up = {sources.id(one) for one in sources.sessions if one.since <= at and (not one.until or at < one.until)}
    seeing = {
        family: {sources.id(one) for one in routes if one.family.startswith(f"ip{family}")} for family in ("v4", "v6")
    }
    return {
        family: {"ris_peers_seeing": len(peers), "total_ris_peers": len(up | peers)} for family, peers in seeing.items()
    }


async def _of_prefix(call: Call, resource: Resource, routes: list[Route], at: datetime) -> Json:
    origins = sorted({(path_of(one, call) or [one.peer.asn])[-1] for one in routes})
    related: dict[str, list[Json]] = {}
    for match in ("less_specific", "more_specific"):
        found: dict[tuple[str, int], None] = {}
        for prefix in (*resource.prefixes, *resource.addresses):
            answers = call.archive.rib(prefix, match=match, at=at, deadline=call.deadline)
            for one in await call.all_of(answers):
                if one.prefix and one.prefix != prefix and one.state != "unknown":
                    found[one.prefix, (path_of(one, call) or [one.peer.asn])[-1]] = None
        related[f"{match}s"] = [{"prefix": prefix, "origin": origin} for prefix, origin in found]
    return {"origins": [{"origin": origin, "route_objects": []} for origin in origins], **related}


async def _of_asn(call: Call, asn: int, routes: list[Route], at: datetime) -> Json:
    prefixes = {one.prefix for one in routes if one.prefix}
    through = call.archive.rib(None, parse_filter({"as_path": f"_{asn}_"}), at=at, deadline=call.deadline)
    left, right = sides(call, await call.all_of(through), asn)
    v4 = [IPv4Network(one) for one in prefixes if ":" not in one]
    v6 = [IPv6Network(one) for one in prefixes if ":" in one]
    networks = sum(2 ** max(48 - one.prefixlen, 0) for one in collapse_addresses(v6))
    return {
        "announced_space": {
            "v4": {"prefixes": len(v4), "ips": sum(one.num_addresses for one in collapse_addresses(v4))},
            "v6": {"prefixes": len(v6), "48s": networks},
        },
        "observed_neighbours": len(left.keys() | right.keys()),
    }
