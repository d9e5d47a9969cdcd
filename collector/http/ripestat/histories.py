"""`routing-history` and `announced-prefixes`: who originated what, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from bgpledger import HistoryEntry, Route
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Json, Spanned, TimeRange, answer, parse_resource, span_of
from collector.http.ripestat.sources import Sources, path_of
from collector.http.ripestat.timeline import Timeline, timeline

router = APIRouter()


class _RoutingHistory(Spanned):
    min_peers: int = Field(1, ge=1, description="How many peers must see a route; RIPEstat's default is 10.")
    max_rows: int = Field(3000, ge=1, description="Show no further origins after this many prefixes.")
    include_first_hop: bool = Field(default=False, description="Also the AS before the origin.")
    normalise_visibility: bool = Field(default=False, description="Also the share of peers that saw it.")


class _AnnouncedPrefixes(Spanned):
    min_peers_seeing: int = Field(1, ge=1, description="How many peers must see a prefix; RIPEstat's default is 10.")


class SeenOrigin(NamedTuple):
    """How long a prefix was seen with one origin continuously, by enough peers."""

    origin: str
    prefix: str
    start: datetime
    end: datetime
    peers: int
    """The maximum number of peers that saw it at the same time."""


@router.get("/routing-history/data.json", summary="Who originated a prefix, and when")
async def routing_history(context: QueryContextDep, wanted: Annotated[_RoutingHistory, Query()]) -> JSONResponse:
    """The origins of a prefix, or the prefixes of an AS, with the times in which they were seen.

    Without a starttime, from the archive's begin on.
    """

    async def work(call: Call) -> Json:
        resource = parse_resource(wanted.resource, call.notes.append)
        sources = await Sources.of_call(call)
        span = span_of(wanted)
        if wanted.starttime is None and sources.since and sources.since < span.end:
            span = TimeRange(sources.since, span.end)
        hops = 2 if wanted.include_first_hop else 1
        found = list(seen(call, await timeline(call, resource, span), span, wanted.min_peers, hops=hops))
        peers = _full_peers(sources)
        by_origin: dict[str, dict[str, list[Json]]] = {}
        rows = 0
        for one in found:
            if one.origin not in by_origin and rows >= wanted.max_rows:
                call.tell("info", f"some origins are left out: there are {wanted.max_rows} prefixes (max_rows)")
                continue
            prefixes = by_origin.setdefault(one.origin, {})
            rows += one.prefix not in prefixes
            line: Json = {
                "starttime": call.time(one.start),
                "endtime": call.time(one.end),
                "full_peers_seeing": one.peers,
            }
            if wanted.normalise_visibility:
                line["visibility"] = one.peers / max(peers["v6" if ":" in one.prefix else "v4"], 1)
            prefixes.setdefault(one.prefix, []).append(line)
        return {
            "by_origin": [
                {
                    "origin": origin,
                    "prefixes": [{"prefix": prefix, "timelines": lines} for prefix, lines in prefixes.items()],
                }
                for origin, prefixes in by_origin.items()
            ],
            "resource": resource.text,
            "query_starttime": call.time(span.start),
            "query_endtime": call.time(span.end),
            "time_granularity": 1,
            "latest_max_ff_peers": peers,
        }

    return await answer("routing-history", "2.3", context, wanted, work)


@router.get("/announced-prefixes/data.json", summary="The prefixes that an AS originated, and when")
async def announced_prefixes(context: QueryContextDep, wanted: Annotated[_AnnouncedPrefixes, Query()]) -> JSONResponse:
    """The prefixes of an AS in a time range (by default two weeks), with the times in which they were seen."""

    async def work(call: Call) -> Json:
        resource, span = parse_resource(wanted.resource, call.notes.append), span_of(wanted)
        asn = str(resource.only_asn())
        found = await timeline(call, resource, span)
        lines: dict[str, list[Json]] = {}
        for one in seen(call, found, span, wanted.min_peers_seeing):
            if one.origin == asn:
                line = {"starttime": call.time(one.start), "endtime": call.time(one.end)}
                lines.setdefault(one.prefix, []).append(line)
        return {
            "prefixes": [{"prefix": prefix, "timelines": of_prefix} for prefix, of_prefix in lines.items()],
            "query_starttime": call.time(span.start),
            "query_endtime": call.time(span.end),
            "resource": asn,
            "latest_time": call.time(datetime.now(UTC)),
            "earliest_time": call.time(found.sources.since or span.start),
        }

    return await answer("announced-prefixes", "1.2", context, wanted, work)


def seen(call: Call, found: Timeline, span: TimeRange, least: int, *, hops: int = 1) -> Iterator[SeenOrigin]:
    """When each prefix was seen with which origin, by begin.

    Args:
        call: gets messages about what the answer leaves out.
        found: what happened.
        span: the time range.
        least: how many peers must see it.
        hops: how many ASes at the end of the path count as the origin.
    """

    def origin_of(entry: HistoryEntry | Route) -> str:
        path = path_of(entry, call) or [entry.peer.asn]
        return " ".join(map(str, path[-hops:]))

    now = datetime.now(UTC)
    watch = _Visibility(least)
    for route in found.initial:
        if route.prefix:
            watch.see(span.start, found.sources.id(route), route.prefix, origin_of(route))
    for one in found.happened:
        watch.see(one.ts, one.source, one.prefix, origin_of(one.entry) if one.entry else None)
    yield from sorted(watch.ended(min(span.end, now)), key=lambda one: (one.start, one.prefix))


class _Visibility:
    """Which peers see a prefix with which origin."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._origins: dict[tuple[str, str], str] = {}
        self._seeing: dict[tuple[str, str], set[str]] = {}
        self._open: dict[tuple[str, str], tuple[datetime, int]] = {}
        self._done: list[SeenOrigin] = []

    def see(self, ts: datetime, source: str, prefix: str, origin: str | None) -> None:
        """Record that a peer sees another origin from now on, or none."""
        before = self._origins.pop((source, prefix), None)
        if origin is not None:
            self._origins[source, prefix] = origin
        if before == origin:
            return
        if origin is not None:
            self._seeing.setdefault((origin, prefix), set()).add(source)
            self._count(ts, origin, prefix)
        if before is not None:
            self._seeing[before, prefix].discard(source)
            self._count(ts, before, prefix)

    def _count(self, ts: datetime, origin: str, prefix: str) -> None:
        peers, name = len(self._seeing[origin, prefix]), (origin, prefix)
        if name in self._open:
            start, most = self._open[name]
            if peers >= self._least:
                self._open[name] = start, max(most, peers)
            else:
                del self._open[name]
                self._done.append(SeenOrigin(origin, prefix, start, ts, most))
        elif peers >= self._least:
            self._open[name] = ts, peers

    def ended(self, end: datetime) -> list[SeenOrigin]:
        """All that was seen, up to the end of the time range."""
        going = [SeenOrigin(origin, prefix, start, end, most) for (origin, prefix), (start, most) in self._open.items()]
        return [*self._done, *going]


def _full_peers(sources: Sources) -> dict[str, int]:
    """The current number of full peers: we have the whole table of each, of either family."""
    up = {sources.id(one) for one in sources.sessions if one.until is None}
    return {"v4": len(up), "v6": len(up)}
