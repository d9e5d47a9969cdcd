"""The number of messages over time, counted by the server without sending any UPDATE."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from collector.errors import UsageError
from collector.query import streams
from collector.query.filters import Filter
from collector.store.mongo import Store
from collector.store.updates import IN_ORDER
from schemas.query import ActivitySample
from schemas.stored import PeerDocument

_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        1,
        2,
        5,
        10,
        15,
        30,
        *(60 * n for n in (1, 2, 5, 10, 15, 30)),
        *(3600 * n for n in (1, 2, 3, 6, 12)),
    )
)
"""Sample lengths that people can easily grasp; longer samples are whole days."""
_DAY = timedelta(days=1)
_SUMS = ("updates", "announcements", "withdrawals", "bytes")


async def activity(store: Store, filters: Filter, samples: int) -> AsyncIterator[ActivitySample]:
    """How many messages and routes the selected peers sent, in consecutive time spans of one length.

    Args:
        store: the archive.
        filters: the peers and the time range; other conditions are ignored.
        samples: the maximum number of spans.

    Raises:
        UsageError: the time range has no begin or no end.
    """
    if filters.start is None or filters.end is None:
        raise UsageError("activity needs both a start and an end", "give both")
    step = _step(filters.end - filters.start, samples)
    begin = _floor(filters.start, step)
    counts: dict[int, Counter[str]] = {}
    found = await streams.sessions(store, filters)
    is_plain = not (filters.peer_asns or filters.routers or filters.ribs)
    for query in _views([session["peer"] for session in found], all_of_them=is_plain):
        sample = {"$floor": {"$divide": [{"$subtract": ["$ts", begin]}, step / timedelta(milliseconds=1)]}}
        async for one in store.sums("updates", {**query, "ts": filters.span}, sample, _EXPRESSIONS):
            counts.setdefault(int(one["_id"]), Counter()).update({name: one[name] for name in _SUMS})
    routes = await _routes_stored(
        store, [session["_id"] for session in found], filters, lambda ts: (ts - begin) // step
    )
    for number in range(-((begin - filters.end) // step)):
        sums = counts.get(number, Counter())
        yield ActivitySample(
            start=begin + number * step, routes=routes.get(number), **{name: sums[name] for name in _SUMS}
        )


async def _routes_stored(
    store: Store, sessions: Sequence[ObjectId], filters: Filter, number_of: Callable[[datetime], int]
) -> dict[int, int]:
    """The number of routes in the newest stored tables of each span."""
    routes: dict[int, int] = {}
    for session in sessions:
        newest: dict[int, int] = {}
        query = {"session": session, "ts": filters.span, "complete": True}
        async for table in store.find("snapshots", query, sort=IN_ORDER, fields=("ts", "standing")):
            if "standing" in table:
                newest[number_of(table["ts"])] = sum(table["standing"].values())
        for number, count in newest.items():
            routes[number] = routes.get(number, 0) + count
    return routes


def _count_of_routes(event: str) -> dict[str, object]:
    """The number of routes that an UPDATE announces, or withdraws, including those that are not prefixes."""
    size = {"$add": [{"$size": {"$ifNull": [f"$$group.{name}", []]}} for name in ("nlri", "objects")]}
    return {"$sum": {"$map": {"input": {"$ifNull": [f"${event}", []]}, "as": "group", "in": size}}}


_EXPRESSIONS = {
    "updates": 1,
    "announcements": _count_of_routes("announce"),
    "withdrawals": _count_of_routes("withdraw"),
    "bytes": {"$bsonSize": "$$ROOT"},
}


def _views(peers: list[PeerDocument], *, all_of_them: bool) -> list[dict[str, object]]:
    """A query for each peer, where each router and table counts as another peer; one query if all peers are selected.

    Not every server uses the index over addresses and times for queries with more conditions.
    """
    fields = ("address",) if all_of_them else ("address", "router", "rib", "rd")
    views = dict.fromkeys(tuple(peer.get(name) for name in fields) for peer in peers)
    return [{f"peer.{name}": value for name, value in zip(fields, view, strict=True)} for view in views]


def _step(span: timedelta, samples: int) -> timedelta:
    """The shortest length that needs at most `samples` spans, wherever they begin."""
    for step in _STEPS:
        if span / step <= samples - 1:
            return step
    return _DAY * -(-span // (_DAY * max(samples - 1, 1)))


def _floor(moment: datetime, step: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step
