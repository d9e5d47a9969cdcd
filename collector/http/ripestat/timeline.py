"""What happened to some prefixes in a time range: the routes at its begin, and what followed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from bgpledger import HistoryEntry, PeerSession, Route, parse_filter
from collector.http.ripestat.call import Call, Resource, TimeRange
from collector.http.ripestat.sources import Sources
from schemas.scalars import spoken

_MOST_PREFIXES = 500


class Happened(NamedTuple):
    """A route of a peer appeared, changed or disappeared."""

    ts: datetime
    kind: Literal["A", "W"]
    source: str
    prefix: str
    entry: HistoryEntry | None
    """The announcement."""


@dataclass
class Timeline:
    """What happened to some prefixes."""

    sources: Sources
    prefixes: tuple[str, ...]
    initial: list[Route] = field(default_factory=list)
    """The routes at the begin, by peer."""
    happened: list[Happened] = field(default_factory=list)
    """In order of time."""


async def prefixes_of(call: Call, resource: Resource, span: TimeRange) -> tuple[str, ...]:
    """The prefixes of a resource: for an address its longest matches, for an AS those that it originated."""
    found = dict.fromkeys(resource.prefixes)
    for address in resource.addresses:
        routes = await call.all_of(call.archive.lookup(address, at=_known(span.end), deadline=call.deadline))
        found |= dict.fromkeys(route.prefix for route in routes if route.prefix) or {address: None}
    if resource.asns:
        origin = ",".join(map(str, resource.asns))
        texts = {"origin": origin, "elem": "announce", "start": span.start.isoformat(), "end": span.end.isoformat()}
        entries = await call.all_of(call.archive.search(parse_filter(texts), deadline=call.deadline))
        stood = call.archive.rib(None, parse_filter({"origin": origin}), at=_known(span.start), deadline=call.deadline)
        found |= dict.fromkeys(one.prefix for one in await call.all_of(stood) if one.prefix)
        found |= dict.fromkeys(one.prefix for one in entries if one.prefix)
    if len(found) > _MOST_PREFIXES:
        call.tell("warning", f"of {len(found)} prefixes the first {_MOST_PREFIXES} are shown: ask for fewer at once")
    return tuple(found)[:_MOST_PREFIXES]


async def timeline(call: Call, resource: Resource, span: TimeRange) -> Timeline:
    """What happened to a resource; a message mentions what is unknown."""
    sources = await Sources.of_call(call)
    prefixes = await prefixes_of(call, resource, span)
    found = Timeline(sources, prefixes)
    await tell_of_gaps(call, span)
    if not prefixes:
        return found
    for prefix in prefixes:
        routes = call.archive.rib(prefix, at=_known(span.start), deadline=call.deadline)
        found.initial += [route for route in await call.all_of(routes) if route.state != "unknown"]
    texts = {
        "prefix": ",".join(prefixes),
        "elem": "announce,withdraw",
        "start": span.start.isoformat(),
        "end": span.end.isoformat(),
    }
    entries = await call.all_of(call.archive.search(parse_filter(texts), deadline=call.deadline))
    found.happened = list(_with_session_ends(found, entries, span))
    return found


def _known(moment: datetime) -> datetime:
    """A time that is not in the future: the archive only answers about the past."""
    return min(moment, datetime.now(UTC))


def _with_session_ends(found: Timeline, entries: Sequence[HistoryEntry], span: TimeRange) -> Iterator[Happened]:
    """Entries, plus a withdrawal of each route that ended with its session."""
    standing: dict[str, dict[str, None]] = {}
    for route in found.initial:
        if route.prefix:
            standing.setdefault(found.sources.id(route), {})[route.prefix] = None
    ends: list[tuple[datetime, PeerSession]] = [
        (one.until, one) for one in found.sources.sessions if one.until and span.start <= one.until < span.end
    ]
    both: Iterator[tuple[datetime, int, HistoryEntry | PeerSession]] = heapq.merge(
        ((one.ts, place, one) for place, one in enumerate(entries)),
        ((until, len(entries), one) for until, one in sorted(ends, key=lambda end: end[0])),
        key=lambda one: one[:2],
    )
    for ts, _, one in both:
        source = found.sources.id(one)
        of_source = standing.setdefault(source, {})
        if isinstance(one, PeerSession):
            yield from (Happened(ts, "W", source, prefix, None) for prefix in of_source)
            of_source.clear()
        elif one.prefix and one.event == "announce":
            of_source[one.prefix] = None
            yield Happened(ts, "A", source, one.prefix, one)
        elif one.prefix and one.event == "withdraw":
            of_source.pop(one.prefix, None)
            yield Happened(ts, "W", source, one.prefix, None)


async def tell_of_gaps(call: Call, span: TimeRange) -> None:
    """Add messages about gaps in a time range."""
    texts = {"start": span.start.isoformat(), "end": span.end.isoformat()}
    for gap in await call.all_of(call.archive.gaps(parse_filter(texts), deadline=call.deadline)):
        since = f"{spoken(gap.since)} and " if gap.since else ""
        words = f"between {since}{spoken(gap.ts)}" if since else f"before {spoken(gap.ts)}"
        call.tell(
            "warning", f"what {gap.peer.address} said {words} UTC is not known: {gap.reason or 'lines were lost'}"
        )
