"""The route that a withdrawal ends: the peer's last announcement of it in the same session.

It is found when it is needed: in memory if it was announced recently, otherwise through the index over prefix, peer and
time (2-3 ms each on SecantusDB).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from collector.query.attributes import AnswerFields, answered
from collector.query.last_announced import LastAnnounced
from collector.rib.routes import Nlri, RouteKey, key_of, routes
from collector.store.mongo import Store
from collector.store.updates import NEWEST_FIRST
from schemas.stored import GroupDocument, UpdateDocument, name_of

_MOST = 20_000
"""The maximum number of routes in memory: some 20 MB if each has its own attributes."""
_FIRST_LOOK = 4
NEVER = datetime.max.replace(tzinfo=UTC)
_EPOCH = datetime.fromtimestamp(0, UTC)

AnnouncedRoute = tuple[Any, RouteKey]
"""A session's route."""


def route_of(document: UpdateDocument, group: GroupDocument, nlri: Nlri) -> AnnouncedRoute:
    """The key that distinguishes a route from all others."""
    return owner_of(document), key_of(group, nlri)


def owner_of(document: UpdateDocument) -> Any:
    """The key of the session, or what identifies the peer: bgpledger 0.1 stored some UPDATEs without a session."""
    return document.get("session") or name_of(document["peer"])


class LastRoutes:
    """Finds the routes that withdrawals end, for UPDATEs in order of time.

    Unless it sees all that peers say (`sees_all`), a prefix may have been announced again unseen, and is looked up. A
    session that began at `whole_from` or later (None: any) is seen whole: unless routes had to be forgotten, a route of
    it that is not remembered was never announced.
    """

    def __init__(self, store: Store, *, sees_all: bool = True, whole_from: datetime | None = NEVER) -> None:
        self._store = store
        self._sees_all = sees_all
        self._whole_from = _seconds(whole_from) if whole_from else 0
        self._last: LastAnnounced[AnnouncedRoute, AnswerFields] = LastAnnounced(_MOST)

    def see(self, document: UpdateDocument) -> None:
        """Remember an UPDATE's announcements."""
        for group, nlri in routes(document, "announce"):
            self._last.announce(route_of(document, group, nlri), _attributes(document, group))

    async def find(self, document: UpdateDocument, group: GroupDocument, nlri: Nlri) -> AnswerFields:
        """Attributes and next hop of the route that a withdrawal ends; empty if unknown.

        No index serves routes that are not prefixes: for these only what has been seen is known.
        """
        route = route_of(document, group, nlri)
        attributes = self._last.get(route) if self._sees_all or "nlri" not in group else None
        if attributes is None:
            attributes = await self._look_up(document, route) if "nlri" in group and not self._sees(route) else {}
            self._last.announce(route, attributes)
        return attributes

    def _sees(self, route: AnnouncedRoute) -> bool:
        """Whether all announcements of its session were seen, and are remembered."""
        session = route[0]
        whole = self._sees_all and not self._last.forgot and isinstance(session, ObjectId)
        return whole and int.from_bytes(session.binary[:4]) >= self._whole_from

    async def _look_up(self, document: UpdateDocument, route: AnnouncedRoute) -> AnswerFields:
        query = {
            "announce.nlri": route[1].nlri,
            "peer.address": document["peer"]["address"],
            "ts": {"$lte": document["ts"]},
        }
        for limit in (_FIRST_LOOK, 0):
            seen = 0
            async for earlier in self._store.find("updates", query, sort=NEWEST_FIRST, limit=limit):
                seen += 1
                if earlier["_id"] < document["_id"] and (attributes := list(_matching(earlier, route))):
                    return attributes[-1]
            if seen < limit:
                break
        return {}


def _seconds(moment: datetime) -> int:
    """The first whole second that is not before a time."""
    return math.ceil((moment - _EPOCH).total_seconds())


def _matching(document: UpdateDocument, route: AnnouncedRoute) -> Iterator[AnswerFields]:
    for group, prefix in routes(document, "announce"):
        if prefix == route[1].nlri and route_of(document, group, prefix) == route:
            yield _attributes(document, group)


def _attributes(document: UpdateDocument, group: GroupDocument) -> AnswerFields:
    """The attributes that a withdrawal shows: without the error, which is about the announcement."""
    attributes = answered({**document.get("attributes", {}), **_next_hop(group)})
    attributes.pop("error", None)
    return attributes


def _next_hop(group: GroupDocument) -> AnswerFields:
    return {name: group[name] for name in ("next_hop", "link_local") if name in group}
