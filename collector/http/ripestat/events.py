"""`bgplay` and `bgp-updates`: what happened to a prefix or an AS."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Json, Spanned, answer, parse_resource, span_of
from collector.http.ripestat.sources import path_of, ripestat_communities
from collector.http.ripestat.timeline import Happened, Timeline, timeline

router = APIRouter()

_BGPLAY, _UPDATES = timedelta(hours=8), timedelta(hours=48)


class _BgpUpdates(Spanned):
    rrcs: str | None = Field(None, max_length=200, description="Only of these collectors, by their numbers: 0,1.")


@router.get("/bgplay/data.json", summary="What happened to a prefix, for BGPlay")
async def bgplay(context: QueryContextDep, wanted: Annotated[_BgpUpdates, Query()]) -> JSONResponse:
    """The routes at the begin of a time range (by default the last 8 hours), and what happened then."""

    async def work(call: Call) -> Json:
        resource, span = parse_resource(wanted.resource, call.notes.append), span_of(wanted, _BGPLAY)
        found = _of_collectors(await timeline(call, resource, span), wanted.rrcs)
        initial: list[Json] = [
            {
                "source_id": found.sources.id(route),
                "target_prefix": route.prefix,
                "path": path_of(route, call),
                "community": ripestat_communities(route),
            }
            for route in found.initial
        ]
        events = _events(call, found)
        paths = [*(one["path"] for one in initial), *(one["attrs"].get("path", ()) for one in events)]
        ids = {one["source_id"] for one in initial} | {one["attrs"]["source_id"] for one in events}
        return {
            "resource": resource.text,
            "query_starttime": call.time(span.start),
            "query_endtime": call.time(span.end),
            "initial_state": initial,
            "events": events,
            "nodes": [{"as_number": asn, "owner": ""} for asn in sorted({asn for path in paths for asn in path})],
            "targets": [{"prefix": prefix} for prefix in found.prefixes],
            "sources": found.sources.described(ids),
        }

    return await answer("bgplay", "1.3", context, wanted, work)


@router.get("/bgp-updates/data.json", summary="Announcements and withdrawals of a prefix or an AS")
async def bgp_updates(context: QueryContextDep, wanted: Annotated[_BgpUpdates, Query()]) -> JSONResponse:
    """Announcements and withdrawals in a time range (by default the last 48 hours), in order."""

    async def work(call: Call) -> Json:
        resource, span = parse_resource(wanted.resource, call.notes.append), span_of(wanted, _UPDATES)
        updates = _events(call, _of_collectors(await timeline(call, resource, span), wanted.rrcs))
        return {
            "resource": resource.text,
            "query_starttime": call.time(span.start),
            "query_endtime": call.time(span.end),
            "nr_updates": len(updates),
            "updates": updates,
        }

    return await answer("bgp-updates", "1.2", context, wanted, work)


def _events(call: Call, found: Timeline) -> list[Json]:
    return [
        {"seq": place, "timestamp": call.time(one.ts), "type": one.kind, "attrs": _attributes(call, one)}
        for place, one in enumerate(found.happened)
    ]


def _attributes(call: Call, one: Happened) -> Json:
    attributes: Json = {"source_id": one.source, "target_prefix": one.prefix}
    if one.entry:
        attributes |= {"path": path_of(one.entry, call), "community": ripestat_communities(one.entry)}
    return attributes


def _of_collectors(found: Timeline, rrcs: str | None) -> Timeline:
    """What some collectors received; all if none are named."""
    wanted = {f"{int(word):02}" for word in (rrcs or "").split(",") if word.strip().isdecimal()}
    if wanted:
        found.initial = [route for route in found.initial if found.sources.number(route) in wanted]
        found.happened = [one for one in found.happened if one.source.partition("-")[0] in wanted]
    return found
