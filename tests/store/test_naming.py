"""For a prefix with many UPDATEs only the newest are read: they have the same result as all of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from collector.query import naming
from collector.query.rib import Match, RibQuery, rib
from collector.store.mongo import Store
from schemas.query import Route
from tests.store.test_asking import PREFIXES, T0, archive, some_day

_MATCHES: tuple[Match, ...] = ("exact", "longest")


async def test_the_newest_say_what_all_do(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await archive(tmp_path, store, some_day(3))
    sessions = [one async for one in store.find("sessions", {})]
    assert all(map(naming._has_one_route_to_each, sessions))
    moments = [None, *(T0 + timedelta(seconds=seconds) for seconds in (1, 5, 12, 20, 28, 60))]

    async def answers(many: int) -> list[list[Route]]:
        monkeypatch.setattr("collector.query.naming._MANY", many)
        monkeypatch.setattr("collector.query.naming._FIRST_WINDOW", timedelta(milliseconds=300))
        asked = [RibQuery(prefix, match, at) for prefix in PREFIXES for match in _MATCHES for at in moments]
        return [[route async for route in rib(store, one)] for one in asked]

    few, every = await answers(0), await answers(10**6)
    assert few == every
    assert any(route.state == "stands" for routes in every for route in routes)
