"""Routes as they are stored, made of their models."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, cast

import bson
from bson import ObjectId
from pydantic import BaseModel

from collector.query.batch import Batch
from collector.query.last_gap import LastGap
from collector.query.peer_ribs import BLANK, PeerRib
from collector.rib.routes import RouteEntry, RouteKey, milliseconds
from collector.store.mongo import Store
from schemas.query import Route
from schemas.stored import SessionDocument


async def to_write(answers: Iterable[BaseModel]) -> AsyncIterator[Any]:
    """Answers as `collector.present.formats.write` takes them: each route in a batch of its own.

    Without AIGP, errors and attributes that have no names, which are stored otherwise.
    """
    for answer in answers:
        yield _batch(answer) if isinstance(answer, Route) else answer


def _batch(route: Route) -> Batch:
    whose = {"peer": route.peer.model_dump(), "collector": route.collector}
    session = cast("SessionDocument", {"_id": ObjectId(), **whose, "since": route.since})
    certain_from = route.since + timedelta(seconds=1)
    gap = LastGap(certain_from, certain_from, 1, 1) if route.state in ("uncertain", "unknown") else None
    rib = PeerRib(cast("Store", None), session, None, gap, {}, stale=route.state == "stale")
    key = RouteKey(route.family, route.rd, route.path_id, route.prefix or "{}")
    facts = bson.encode(route.model_dump(include=set(BLANK), exclude_none=True))
    return Batch(rib, [(key, RouteEntry(milliseconds(route.since), facts))], hidden=route.state == "unknown")
