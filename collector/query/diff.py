"""What became of the routes between two moments: which appeared, which went, which changed, and in what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from collector.query.rib import RibQuery, matching
from collector.query.standing import Known, standing
from collector.store.mongo import Store
from collector.tables.routes import Held, Key, order
from schemas.query import Route, RouteChange
from schemas.scalars import address_order

_NOT_COMPARED = {"since", "state"}
_Place = tuple[int, bytes, str]


async def diff(store: Store, question: RibQuery, earlier: datetime, later: datetime) -> AsyncIterator[RouteChange]:
    """Every route that is not the same at both moments, by peer, then in the order of prefixes.

    A route that was announced again as it was has not changed. What is not known at one of the moments is left out.
    """
    before = await _by_peer(store, replace(question, at=earlier))
    after = await _by_peer(store, replace(question, at=later))
    for place in sorted(before.keys() | after.keys()):
        one, two = before.get(place), after.get(place)
        async for key, old, new in _side_by_side(_routes(one, question), _routes(two, question)):
            change = _compare(key, (one, old), (two, new))
            if change:
                yield change


async def _by_peer(store: Store, question: RibQuery) -> dict[_Place, Known]:
    return {
        (*address_order(known.session["peer"]["address"]), known.session["collector"]): known
        async for known in standing(store, question.at, peer=question.peer)
    }


async def _routes(known: Known | None, question: RibQuery) -> AsyncIterator[tuple[bytes, Key, Held]]:
    if known:
        async for items in matching(known, question):
            for key, held in items:
                yield order(key), key, held


async def _side_by_side(
    before: AsyncIterator[tuple[bytes, Key, Held]], after: AsyncIterator[tuple[bytes, Key, Held]]
) -> AsyncIterator[tuple[Key, Held | None, Held | None]]:
    """Two tables in order as one, each route as it was and as it is."""
    old, new = await anext(before, None), await anext(after, None)
    while old or new:
        if new is None or (old and old[0] < new[0]):
            assert old is not None  # noqa: S101  # one of them is there
            yield old[1], old[2], None
            old = await anext(before, None)
        elif old is None or new[0] < old[0]:
            yield new[1], None, new[2]
            new = await anext(after, None)
        else:
            if old[2] != new[2]:
                yield old[1], old[2], new[2]
            old, new = await anext(before, None), await anext(after, None)


def _compare(
    key: Key, before: tuple[Known | None, Held | None], after: tuple[Known | None, Held | None]
) -> RouteChange | None:
    old, new = (known.route(key, held) if known and held else None for known, held in (before, after))
    either = new or old
    assert either is not None  # noqa: S101  # the key is of one of them
    shared = {"peer": either.peer, "prefix": either.prefix, "object": either.object, "before": old, "after": new}
    if old is None or new is None:
        known, _ = before if old is None else after
        if known and known.hides(key.family):
            return None
        return RouteChange(event="appeared" if new else "went", **shared)
    fields = sorted(name for name in _COMPARED if getattr(old, name) != getattr(new, name))
    return RouteChange(event="changed", changed=fields, **shared) if fields else None


_COMPARED = Route.model_fields.keys() - _NOT_COMPARED
