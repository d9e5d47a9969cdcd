"""A route of each family, announced, changed and withdrawn, is one route in every answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.query.diff import diff
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, history
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.query.top import top
from collector.rib import snapshots
from collector.rib.projecting import Rhythm, project
from collector.rib.projector import Projector
from collector.store.mongo import Store
from collector.tasks import end
from schemas.query import HistoryEntry, Route
from schemas.snapshots import TABLE_VERSION, Snapshot
from tests import families
from tests.exabgp_lines import ORIGIN, Speaker, as_path, packed, reach, unreach
from tests.store.test_archive import archive
from tests.support import until


def announcement(router: Speaker, route: families.Route, nlri: bytes, *path: int) -> bytes:
    hop = (bytes(8) if route.safi == 128 else b"") + packed("192.0.2.1")
    return router.hear(ORIGIN + as_path(*path) + reach(route.afi, route.safi, hop, nlri))


def moment(router: Speaker) -> datetime:
    return datetime.fromtimestamp(router.time, UTC)


async def everything(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]


async def store_a_table(store: Store) -> None:
    async for session in store.find("sessions", {}):
        assert await everything(project(store, session, None, Rhythm(hours=8, updates=1)))


@pytest.mark.parametrize("tables", [False, True], ids=["folded", "stored"])
async def test_one_route_of_each_family(data_dir: Path, store: Store, *, tables: bool) -> None:
    router = Speaker()
    lines = router.up()
    for route in families.ROUTES:
        lines += [announcement(router, route, route.announced, 1), announcement(router, route, route.other, 1)]
    announced = moment(router)
    await archive(data_dir, store, *lines)
    if tables:
        await store_a_table(store)
    lines = [announcement(router, route, route.changed, 1, 2) for route in families.ROUTES]
    changed = moment(router)
    lines += [router.hear(unreach(route.afi, route.safi, route.withdrawn)) for route in families.ROUTES]
    withdrawn = moment(router)
    lines += [announcement(router, route, route.announced, 1) for route in families.ROUTES]
    await archive(data_dir, store, *lines)

    async def stood(at: datetime) -> list[Route]:
        return await everything(rib(store, RibQuery(at=at)))

    count = len(families.ROUTES)
    shared = 1  # what is like a MAC without an address is the one with it
    assert len(await stood(announced)) == 2 * count - shared
    assert {one.as_path for one in await stood(announced)} == {"1"}
    after = await stood(changed)
    assert len(after) == 2 * count - shared
    assert [one.as_path for one in after].count("1 2") == count
    assert len(await stood(withdrawn)) == count - shared
    assert len(await stood(withdrawn + timedelta(hours=1))) == 2 * count - shared

    changes = await everything(diff(store, RibQuery(), announced, changed))
    assert [one.event for one in changes] == ["changed"] * count
    changes = await everything(diff(store, RibQuery(), changed, withdrawn))
    assert [one.event for one in changes] == ["went"] * count

    entries: list[HistoryEntry] = await everything(search(store, Filter()))
    ends = [one for one in entries if one.event == "withdraw"]
    assert {one.as_path for one in ends} == {"1 2"}  # the route that each ends, as it was last
    (peer,) = await everything(top(store, "peers", "flaps", Filter(), 10))
    assert (peer.flaps, peer.withdrawals) == (count, count)

    for prefix, rd in (("10.3.0.0/16", "10.0.0.1:7"), ("10.4.0.0/16", None)):
        said = [one for one in await everything(history(store, HistoryQuery(prefix))) if one.rd == rd]
        assert [(one.event, one.as_path) for one in said] == [
            ("announce", "1"),
            ("announce", "1 2"),
            ("withdraw", "1 2"),
            ("announce", "1"),
        ]
        assert said[2].labels in ([[0]], [[0x80000]])


async def test_tables_of_an_older_version_are_made_anew(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with routes under ExaBGP's output are rebuilt; those with only prefixes are valid."""
    (evpn,) = [route for route in families.ROUTES if route.name == "evpn-2"]
    router, plain = Speaker(), Speaker()
    plain.address = "192.0.2.2"
    lines = [*router.up(), announcement(router, evpn, evpn.announced, 1), *plain.up(), plain.announce("10.0.0.0/8")]
    ended = [router.line("state", state="down", reason="closing connection")]
    await archive(data_dir, store, *lines, *ended)
    await store_a_table(store)
    async for one in store.find("snapshots", {}):
        await store.replace("snapshots", [{**one, "v": TABLE_VERSION - 1}])
    keys = {one["peer"]["address"]: one["_id"] async for one in store.find("sessions", {})}
    assert await snapshots.newest(store, keys["192.0.2.1"]) is None
    assert await snapshots.newest(store, keys["192.0.2.2"]) is not None

    monkeypatch.setattr("collector.rib.projector.LOOK_SECONDS", 0.01)
    projector = Projector(store, "test", Rhythm(hours=8, updates=1), days=0)

    async def renewed() -> bool:
        found = [Snapshot.model_validate(one) async for one in store.find("snapshots", {})]
        made = {one.v for one in found if one.session == keys["192.0.2.1"]} == {TABLE_VERSION}
        return made and await snapshots.newest(store, keys["192.0.2.1"]) is not None

    running = asyncio.create_task(projector.run())
    try:
        await until(renewed)
    finally:
        await end(running)
