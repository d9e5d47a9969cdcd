"""`rib` and `diff` with filters: those of their answers that are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from collector.query.diff import diff
from collector.query.filters import Filter
from collector.query.rib import RibQuery, rib
from collector.store.mongo import Store
from schemas.query import Route, RouteChange


async def narrow_rib(store: Store, question: RibQuery, filters: Filter) -> AsyncIterator[Route]:
    """The routes that the filters let through, in the order of `rib`.

    The longest match is found before that: a peer whose longest is filtered out does not answer with a shorter one.
    """
    async for route in rib(store, _of_its_peer(question, filters)):
        if filters.stands(route):
            yield route


async def narrow_diff(
    store: Store, question: RibQuery, earlier: datetime, later: datetime, filters: Filter
) -> AsyncIterator[RouteChange]:
    """The changes of routes that the filters let through, before or after, in the order of `diff`."""
    async for change in diff(store, _of_its_peer(question, filters), earlier, later):
        if any(filters.stands(route) for route in (change.before, change.after) if route):
            yield change


def _of_its_peer(question: RibQuery, filters: Filter) -> RibQuery:
    """One peer alone is asked for by name: an index serves that."""
    return replace(question, peer=filters.only_peer or question.peer)
