"""The number of messages over time, counted by the server, which sends no UPDATE for it."""

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
"""Lengths of a sample that a person can think in; longer ones are whole days."""
_DAY = timedelta(days=1)
_SUMS = ("updates", "announcements", "withdrawals", "bytes")


async def activity(store: Store, filters: Filter, samples: int) -> AsyncIterator[ActivitySample]:
    """How much the peers that are asked for said, in spans of one length.

    Args:
        store: the archive.
        filters: the peers, and the time; nothing else of it matters.
        samples: how many spans there are at most.

    Raises:
        UsageError: the time has no begin or no end.
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
        said = counts.get(number, Counter())
        yield ActivitySample(
            start=begin + number * step, routes=routes.get(number), **{name: said[name] for name in _SUMS}
        )


async def _routes_stored(
    store: Store, sessions: Sequence[ObjectId], filters: Filter, number_of: Callable[[datetime], int]
) -> dict[int, int]:
    """How many routes the newest stored tables of each span have."""
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


def _routes_said(event: str) -> dict[str, object]:
    """How many routes an UPDATE announces, or withdraws; those that are no prefixes count too."""
    size = {"$add": [{"$size": {"$ifNull": [f"$$group.{name}", []]}} for name in ("nlri", "objects")]}
    return {"$sum": {"$map": {"input": {"$ifNull": [f"${event}", []]}, "as": "group", "in": size}}}


_EXPRESSIONS = {
    "updates": 1,
    "announcements": _routes_said("announce"),
    "withdrawals": _routes_said("withdraw"),
    "bytes": {"$bsonSize": "$$ROOT"},
}


def _views(peers: list[PeerDocument], *, all_of_them: bool) -> list[dict[str, object]]:
    """A query for each peer, of which each router and table is another; of all of them at once where all are asked for.

    Not every server uses an index over addresses and times where it is asked for more than these.
    """
    fields = ("address",) if all_of_them else ("address", "router", "rib", "rd")
    views = dict.fromkeys(tuple(peer.get(name) for name in fields) for peer in peers)
    return [{f"peer.{name}": value for name, value in zip(fields, view, strict=True)} for view in views]


def _step(span: timedelta, samples: int) -> timedelta:
    """The shortest length of which not more than so many samples are needed, wherever they begin."""
    for step in _STEPS:
        if span / step <= samples - 1:
            return step
    return _DAY * -(-span // (_DAY * max(samples - 1, 1)))


def _floor(moment: datetime, step: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step
