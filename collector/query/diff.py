"""What became of the routes between two moments: which appeared, which went, which changed, and in what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from collector.query.rib import RibQuery, order, rib
from collector.store.mongo import Store
from schemas.query import Route, RouteChange

_NOT_COMPARED = {"since", "state"}


async def diff(store: Store, question: RibQuery, earlier: datetime, later: datetime) -> AsyncIterator[RouteChange]:
    """Every route that is not the same at both moments, by peer, then in the order of prefixes.

    A route that was announced again as it was has not changed. What is not known at one of the moments is left out.
    """
    before = await _by_peer(store, replace(question, at=earlier))
    after = await _by_peer(store, replace(question, at=later))
    for peer in sorted(before.keys() | after.keys()):
        old, new = before.get(peer, {}), after.get(peer, {})
        for key in sorted(old.keys() | new.keys(), key=order):
            change = _compare(old.get(key), new.get(key))
            if change:
                yield change


async def _by_peer(store: Store, question: RibQuery) -> dict[str, dict[tuple[str, str | None, int | None, str], Route]]:
    routes = [route async for route in rib(store, question)]
    return {
        peer: {(one.family, one.rd, one.path_id, one.prefix): one for one in group}
        for peer, group in groupby(routes, key=lambda route: route.peer.address)
    }


def _compare(old: Route | None, new: Route | None) -> RouteChange | None:
    if "unknown" in (old and old.state, new and new.state):
        return None
    if old is None or new is None:
        either = new or old
        assert either is not None  # noqa: S101  # the key is of one of them
        event = "appeared" if new else "went"
        return RouteChange(event=event, peer=either.peer, prefix=either.prefix, before=old, after=new)
    compared = Route.model_fields.keys() - _NOT_COMPARED
    fields = sorted(name for name in compared if getattr(old, name) != getattr(new, name))
    if not fields:
        return None
    return RouteChange(event="changed", peer=new.peer, prefix=new.prefix, changed=fields, before=old, after=new)
