"""The route that a withdrawal ends: the peer's last announcement of it in the same session.

It is found when it is asked for: in memory when it was announced a moment ago, through the index over prefix, peer
and time otherwise (2-3 ms each on SecantusDB). A value that is stored with the withdrawal would go in here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from collector.query.attributes import answered
from collector.query.last_announced import LastAnnounced
from collector.rib.routes import Nlri, RouteKey, key_of, routes
from collector.store.mongo import Store
from collector.store.updates import NEWEST_FIRST
from schemas.stored import GroupDocument, UpdateDocument, name_of

_MOST = 20_000
"""Routes that are remembered: some 20 MB when each has attributes of its own."""
_FIRST_LOOK = 4
NEVER = datetime.max.replace(tzinfo=UTC)
_EPOCH = datetime.fromtimestamp(0, UTC)

AnnouncedRoute = tuple[Any, RouteKey]
"""A session's route."""


def route_of(document: UpdateDocument, group: GroupDocument, nlri: Nlri) -> AnnouncedRoute:
    """What tells this route from all others."""
    return document.get("session") or name_of(document["peer"]), key_of(group, nlri)


class LastRoutes:
    """Finds what withdrawals end, for UPDATEs that come in the order of time.

    Where it does not see all that peers say (not `sees_all`), a prefix may have been announced anew behind its back,
    and is looked up. A session that began at `whole_from` or later (None: any) is seen whole: as long as nothing had to
    be forgotten, what is not remembered of it was never announced.
    """

    def __init__(self, store: Store, *, sees_all: bool = True, whole_from: datetime | None = NEVER) -> None:
        self._store = store
        self._sees_all = sees_all
        self._whole_from = _seconds(whole_from) if whole_from else 0
        self._last: LastAnnounced[AnnouncedRoute, Mapping[str, Any]] = LastAnnounced(_MOST)

    def see(self, document: UpdateDocument) -> None:
        """Remember what an UPDATE announces."""
        for group, nlri in routes(document, "announce"):
            self._last.announce(route_of(document, group, nlri), _said(document, group))

    async def find(self, document: UpdateDocument, group: GroupDocument, nlri: Nlri) -> Mapping[str, Any]:
        """Attributes and next hop of the route that a withdrawal ends; empty when it is not known.

        No index serves routes that are no prefixes: of these only what was seen is known.
        """
        route = route_of(document, group, nlri)
        said = self._last.get(route) if self._sees_all or "nlri" not in group else None
        if said is None:
            said = await self._look_up(document, route) if "nlri" in group and not self._sees(route) else {}
            self._last.announce(route, said)
        return said

    def _sees(self, route: AnnouncedRoute) -> bool:
        """Whether all that its session announced was seen, and is remembered."""
        session = route[0]
        whole = self._sees_all and not self._last.forgot and isinstance(session, ObjectId)
        return whole and int.from_bytes(session.binary[:4]) >= self._whole_from

    async def _look_up(self, document: UpdateDocument, route: AnnouncedRoute) -> dict[str, Any]:
        query = {
            "announce.nlri": route[1].nlri,
            "peer.address": document["peer"]["address"],
            "ts": {"$lte": document["ts"]},
        }
        for limit in (_FIRST_LOOK, 0):
            seen = 0
            async for earlier in self._store.find("updates", query, sort=NEWEST_FIRST, limit=limit):
                seen += 1
                if earlier["_id"] < document["_id"] and (said := list(_matching(earlier, route))):
                    return said[-1]
            if seen < limit:
                break
        return {}


def _seconds(moment: datetime) -> int:
    """The first whole second that is not before a moment."""
    return math.ceil((moment - _EPOCH).total_seconds())


def _matching(document: UpdateDocument, route: AnnouncedRoute) -> Iterator[dict[str, Any]]:
    for group, prefix in routes(document, "announce"):
        if prefix == route[1].nlri and route_of(document, group, prefix) == route:
            yield _said(document, group)


def _said(document: UpdateDocument, group: GroupDocument) -> dict[str, Any]:
    """What a withdrawal of the route carries: what was malformed in its announcement is no part of that."""
    said = answered({**document.get("attributes", {}), **_next_hop(group)})
    said.pop("error", None)
    return said


def _next_hop(group: GroupDocument) -> dict[str, Any]:
    return {name: group[name] for name in ("next_hop", "link_local") if name in group}
