"""When an instance began to store: its clock may be behind that of all others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from collector.store.mongo import Store
from schemas.keys import key_collector

_TIMES: tuple[tuple[Literal["sessions", "gaps"], Literal["since", "ts"]], ...] = (("sessions", "since"), ("gaps", "ts"))


async def first_stored(store: Store, instances: Collection[int]) -> datetime | None:
    """The first time of the sessions and gaps of some instances, given by the numbers in keys; None: they have none.

    No index serves this, and all sessions and gaps are read.
    """
    if not instances:
        return None
    times: list[datetime] = []
    for collection, time in _TIMES:
        async for document in store.find(collection, {}, fields=(time,)):
            if key_collector(document["_id"]) in instances:
                times.append(document[time])  # noqa: PERF401 - it is asynchronous
    return min(times, default=None)
