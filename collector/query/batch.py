"""Thousands of routes in their stored form; models are made only where needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import bson

from collector.query.attributes import AnswerFields, answered
from collector.query.peer_ribs import BLANK, PeerRib
from collector.rib.routes import Items, RouteEntry, RouteKey
from schemas.query import Route, RouteState


class Batch(NamedTuple):
    """Some routes of one session, in order."""

    rib: PeerRib
    """The session's table."""
    items: Items
    hidden: bool = False
    """Whether a gap hides them: they may have existed, but lines of the peer were lost at the time in `since`."""

    def state(self, key: RouteKey, entry: RouteEntry) -> RouteState:
        """The state of one of the routes."""
        return "unknown" if self.hidden else self.rib.state(key, entry)

    def common_state(self) -> RouteState | None:
        """The state of all routes, if it is the same for all."""
        return "unknown" if self.hidden else self.rib.common_state()

    def routes(self) -> Iterator[Route]:
        """All of the routes as models."""
        for key, entry in self.items:
            yield self.route(key, entry)

    def route(self, key: RouteKey, entry: RouteEntry) -> Route:
        """One of the routes as a model."""
        route = self.rib.route(key, entry)
        return route.with_own({"state": "unknown"}) if self.hidden else route

    def facts(self) -> dict[bytes, AnswerFields]:
        """All other fields of the routes' answers, by the facts of an entry, without duplicates.

        Values are as in answers, in the order of `Route`, None if absent.
        """
        packed = list({entry.facts for _, entry in self.items})
        stored = bson.decode_all(b"".join(packed))
        return {facts: BLANK | answered(document) for facts, document in zip(packed, stored, strict=True)}

    def mentioning(self, text: bytes) -> Batch:
        """The routes whose facts contain some bytes: a coarse filter, which is nearly free."""
        return self._replace(items=[item for item in self.items if text in item[1].facts])

    def only(self, wanted: Callable[[Route], bool]) -> Batch:
        """The wanted routes; the decision must depend only on their family and facts."""
        found: dict[tuple[str, bytes], bool] = {}
        kept: Items = []
        for key, entry in self.items:
            kind = key.family, entry.facts
            if kind not in found:
                found[kind] = wanted(self.route(key, entry))
            if found[kind]:
                kept.append((key, entry))
        return self._replace(items=kept)


async def routes_of(batches: AsyncIterator[Batch]) -> AsyncIterator[Route]:
    """The routes of batches, one by one."""
    async for batch in batches:
        for route in batch.routes():
            yield route
