"""Stored tables: when they are stored, kept and removed, and what an interruption leaves behind."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from bson import ObjectId

from collector.errors import StoreError
from collector.query import peer_ribs
from collector.query.peers import peers
from collector.query.rib import RibQuery, rib
from collector.query.status import rib_lag
from collector.rib import fold, pages, snapshots, storing
from collector.rib import projector as project
from collector.rib.projecting import Rhythm
from collector.rib.projector import Projector
from collector.rib.rebuilding import rebuild
from collector.rib.routes import RouteEntry, RouteKey, order
from collector.store.mongo import Store
from collector.tasks import end
from schemas.snapshots import Snapshot
from tests.running import bgpledger
from tests.store.test_archive import archive
from tests.support import Router, until

T0 = datetime(2026, 1, 15, 5, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def day(router: Router, hours: int = 20) -> list[bytes]:
    """A session with a table of eighty routes, and two UPDATEs an hour from five o'clock."""
    router.time = T0.timestamp()
    table = [(f"192.0.{number}.0/24", None) for number in range(80)]
    lines = [*router.up(), router.say(announce=table, path=(64500,))]
    for hour in range(hours):
        router.time = (T0 + timedelta(hours=hour, minutes=1)).timestamp()
        lines += [router.announce(f"10.{hour}.0.0/16"), router.announce("10.255.0.0/16", path=(64500, hour + 1))]
    return lines


async def tables(store: Store) -> list[Snapshot]:
    return [Snapshot.model_validate(one) async for one in store.find("snapshots", {}, sort=(("ts", 1),))]


async def parts(store: Store) -> int:
    return len([one async for one in store.find("snapshot_parts", {})])


async def prefixes(store: Store, at: datetime | None = None) -> list[str | None]:
    return [route.prefix async for route in rib(store, RibQuery(at=at))]


@asynccontextmanager
async def projecting(
    store: Store, rhythm: Rhythm, *, days: float = 0, changes_days: float = 0
) -> AsyncIterator[Projector]:
    projector = Projector(store, "test", rhythm, days=days, changes_days=changes_days)
    running = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await end(running)


async def test_whole_tables_are_stored_at_fixed_hours_and_changes_in_between(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "LOOK_SECONDS", 0.01)
    router = Router()
    lines = day(router)
    async with projecting(store, Rhythm(8, 7)) as projector:
        for begin in range(0, len(lines), 5):
            await archive(data_dir, store, *lines[begin : begin + 5], saw=projector.saw)

        async def settled() -> bool:
            found = await tables(store)
            whole = {one.ts for one in found if one.base is None}
            return await rib_lag(store) < 7 and whole >= MARKS and all(one.complete for one in found)

        await until(settled)
    found = await tables(store)
    whole = {one.key: one for one in found if one.base is None}
    assert all(one.complete for one in found)
    assert any(one.base for one in found)
    for one in found:
        assert one.base is None or whole[one.base].ts < one.ts
        assert one.routes == sum(part.routes for part in one.parts)
        assert sum((one.standing or {}).values()) == len(await prefixes(store, one.ts - MILLISECOND))
    assert await parts(store) == sum(len(one.parts) for one in found)
    assert len(await prefixes(store, T0 + timedelta(hours=12))) == 80 + 12 + 1


MARKS = {T0.replace(hour=8), T0.replace(hour=16), T0.replace(hour=0) + timedelta(days=1)}


async def test_tables_are_made_anew(data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_CHANGES", 3)
    router = Router()
    await archive(data_dir, store, *day(router, hours=22), router.down())
    moments = [T0 + timedelta(minutes=30 * step) for step in range(44)]
    before = [await prefixes(store, moment) for moment in moments]
    told: list[tuple[int, int]] = []
    for _ in range(2):
        made = await rebuild(store, Rhythm(8, 5), lambda done, of: told.append((done, of)))
        found = await tables(store)
        assert made == len(found)
        assert [(one.ts.hour, one.routes) for one in found if one.base is None] == [(8, 84), (16, 92), (0, 100)]
        # Behind each of them what was said, and before the first nothing: there is no table yet for it to change.
        assert [one.routes for one in found if one.base] == [4, 6, 9, 4, 6, 9, 4]
        assert await parts(store) == len(found)
        assert [await prefixes(store, moment) for moment in moments] == before
    assert told[-1] == (1, 1)


async def test_a_large_table_is_counted_when_it_is_stored(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_ribs, "_COUNTED_AT_ONCE", 50)
    router = Router()
    await archive(data_dir, store, *day(router, hours=10))

    async def counted() -> tuple[int, dict[str, int], datetime | None]:
        [peer] = [one async for one in peers(store)]
        return peer.routes, peer.routes_by_family, peer.routes_at

    assert await counted() == (91, {"ipv4 unicast": 91}, None)  # no table is stored yet
    await rebuild(store, Rhythm(8, 6))
    newest = (await tables(store))[-1]
    stored = len(await prefixes(store, newest.ts - MILLISECOND))
    assert newest.base
    assert await counted() == (stored, {"ipv4 unicast": stored}, newest.ts)
    assert stored < 91
    # What versions before stored has no counts.
    for one in await tables(store):
        one.standing = None
        await store.replace("snapshots", [one.to_document()])
    assert await counted() == (91, {"ipv4 unicast": 91}, None)
    await rebuild(store, Rhythm(1, 1))
    assert await counted() == (91, {"ipv4 unicast": 91}, None)  # nothing was said since


async def test_changes_of_a_table_that_is_gone_are_none(data_dir: Path, store: Store) -> None:
    await archive(data_dir, store, *day(Router(), hours=18))
    before = await prefixes(store)
    await rebuild(store, Rhythm(8, 5))
    found = await tables(store)
    newest = await snapshots.newest(store, found[-1].session)
    assert newest is not None
    assert newest.changes == found[-1]
    await store.remove("snapshots", {"_id": newest.whole.key})
    older = await snapshots.newest(store, found[-1].session)
    assert older is not None
    assert older.newest.ts < newest.whole.ts
    assert await prefixes(store) == before


async def test_what_has_changed_in_a_fourth_of_a_table_is_stored_as_a_whole_one(data_dir: Path, store: Store) -> None:
    router = Router()
    lines = day(router, hours=1)
    router.time = T0.replace(hour=9).timestamp()
    lines += [router.announce(f"192.0.{number}.0/24") for number in range(40)]
    await archive(data_dir, store, *lines)
    await rebuild(store, Rhythm(8, 10))
    assert [(one.base is None, one.routes) for one in await tables(store)] == [
        (True, 82),
        (False, 10),
        (False, 20),
        (True, 82),
        (False, 9),  # up to the last UPDATE, and without it
    ]


async def test_what_a_killed_one_left_is_no_table_and_is_removed(data_dir: Path, store: Store) -> None:
    router = Router()
    await archive(data_dir, store, *day(router, hours=2))
    before = await prefixes(store)
    await rebuild(store, Rhythm(24, 1))
    (whole,) = await tables(store)
    half = whole.model_copy(update={"complete": False, "parts": [], "written": T0})
    await store.replace("snapshots", [half.to_document()])
    assert await prefixes(store) == before
    async with projecting(store, Rhythm(24, 1000)):
        await until(lambda: no_tables(store))
    assert await parts(store) == 0


async def no_tables(store: Store) -> bool:
    return not await tables(store)


async def test_old_tables_are_removed_but_the_newest_of_a_session_that_is_up(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "LOOK_SECONDS", 0.01)
    await archive(data_dir, store, *day(Router(), hours=18))
    await rebuild(store, Rhythm(4, 5))
    newest = (await tables(store))[-1]
    assert newest.base is not None
    async with projecting(store, Rhythm(4, 1000), days=1):

        async def two_are_left() -> bool:
            return {one.key for one in await tables(store)} == {newest.base, newest.key}

        await until(two_are_left)


async def test_what_is_needed_for_newer_changes_is_not_too_old(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "LOOK_SECONDS", 0.01)
    router = Router()
    await archive(data_dir, store, *day(router), router.down())
    await rebuild(store, Rhythm(8, 5))
    found = await tables(store)
    behind = [one for one in found if one.base == found[0].key]
    assert len(behind) == 3
    age = datetime.now(UTC) - behind[1].ts + timedelta(minutes=1)
    async with projecting(store, Rhythm(8, 1000), days=age / timedelta(days=1)):

        async def one_is_gone() -> bool:
            return [one.key for one in await tables(store)] == [found[0].key, *(one.key for one in found[2:])]

        await until(one_is_gone)


async def test_a_table_that_is_removed_while_it_is_read_is_not_taken_for_a_small_one(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROUTES", 3)
    await archive(data_dir, store, *day(Router()))
    await rebuild(store, Rhythm(24, 1))
    reading = rib(store, RibQuery())
    await anext(reading)
    await snapshots.remove(store, await tables(store))
    with pytest.raises(StoreError, match="removed while it was read"):
        [route async for route in reading]


async def test_tables_whose_keys_are_the_same_stand_side_by_side(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hashes are equal: the keys of one second and collector are those of all of its tables and parts."""
    monkeypatch.setattr(pages, "ROUTES", 30)
    monkeypatch.setattr(storing, "make_snapshot_key", lambda ts, *_: ObjectId(int(ts.timestamp()).to_bytes(12)))
    routers = [Router("192.0.2.1", 64500), Router("192.0.2.2", 64501)]
    lines = sorted(
        (line for router in routers for line in day(router)), key=lambda line: float(json.loads(line)["time"])
    )
    await archive(data_dir, store, *lines)
    moments = [T0 + timedelta(hours=hours) for hours in (2, 4, 12, 20)]
    folded = [[route async for route in rib(store, RibQuery(at=at))] for at in moments]
    for _ in range(2):  # made again, they are in each other's way no more than before
        assert await rebuild(store, Rhythm(8, 7))
        assert [[route async for route in rib(store, RibQuery(at=at))] for at in moments] == folded
        found = await tables(store)
        assert {one.peer.address for one in found} == {router.address for router in routers}
        assert len({part.key for one in found for part in one.parts}) == sum(len(one.parts) for one in found)


async def test_a_part_of_another_table_is_never_read(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "LOOK_SECONDS", 0.01)
    router = Router()
    lines = day(router)
    await archive(data_dir, store, *lines)
    await rebuild(store, Rhythm(24, 1))
    truth = await prefixes(store)
    (broken, *_) = (await tables(store))[::-1]
    whole = broken.base or broken.key
    async for part in store.find("snapshot_parts", {"snapshot": whole}):
        await store.replace("snapshot_parts", [{**part, "snapshot": ObjectId()}])
    with pytest.raises(StoreError, match="another table has overwritten a part of it") as caught:
        await prefixes(store)
    assert f"the stored table of {router.address} at " in caught.value.cause
    assert "db rebuild-rib" in caught.value.cure
    async with projecting(store, Rhythm(24, 1)) as projector:
        await archive(data_dir, store, router.announce("10.99.0.0/16"), saw=projector.saw)

        async def mended() -> bool:
            with suppress(StoreError):
                return await prefixes(store) == sorted([*truth, "10.99.0.0/16"], key=by_prefix)
            return False

        await until(mended)


async def test_the_cure_for_a_part_of_another_table_cures(data_dir: Path, mongodb_uri: str, store: Store) -> None:
    """As 0.1 left it: a table of one peer has the key of a part of another's. The suggested command is run as
    printed."""
    router, other = Router("192.0.2.1", 64500), Router("192.0.2.2", 64501)
    lines = sorted([*day(router), *day(other)], key=lambda line: float(json.loads(line)["time"]))
    await archive(data_dir, store, *lines)
    await rebuild(store, Rhythm(24, 1))
    truth = await prefixes(store)
    found = {one.peer.address: one for one in await tables(store)}
    mine, others = found[router.address], found[other.address]
    (part,) = [one async for one in store.find("snapshot_parts", {"snapshot": others.key})]
    await store.replace("snapshot_parts", [{**part, "_id": mine.parts[0].key}])
    typed = partial(bgpledger, BGPLEDGER_MONGODB_URI=mongodb_uri, BGPLEDGER_MONGODB_DATABASE=store.database_name)
    asked = await asyncio.to_thread(typed, "rib")
    assert asked.returncode == 1
    assert f"error: the stored table of {router.address}" in asked.stderr
    (cure,) = re.findall(r"cure: bgpledger ([a-z -]+) rebuilds", asked.stderr)
    done = await asyncio.to_thread(typed, *cure.split())
    assert done.returncode == 0, done.stderr
    assert await prefixes(store) == truth


async def test_tables_stay_that_nothing_makes_anew(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[retention] has removed their UPDATEs: only the tables still have these routes."""
    router = Router()
    await archive(data_dir, store, *day(router))
    await rebuild(store, Rhythm(4, 5))
    moments = [T0 + timedelta(hours=hours) for hours in (12, 16, 20)]
    before = [await prefixes(store, moment) for moment in moments]
    older = [one.key for one in await tables(store) if one.ts < T0 + timedelta(hours=10)]
    assert older
    kept = T0 + timedelta(hours=10)
    age = (datetime.now(UTC) - kept + timedelta(hours=1)).total_seconds()

    async def lifetimes(_store: Store) -> dict[str, int]:
        return {"updates_days": round(age)}

    monkeypatch.setattr(Store, "lifetimes", lifetimes)
    await store.remove("updates", {"ts": {"$lt": kept}})
    made = await rebuild(store, Rhythm(4, 3))
    found = await tables(store)
    assert made == len(found)
    assert {one.key for one in found} > set(older)
    assert [await prefixes(store, moment) for moment in moments] == before


def by_prefix(prefix: str | None) -> bytes:
    return order(RouteKey("ipv4 unicast", None, None, str(prefix)))


async def test_whole_tables_live_longer_than_changes(
    data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "LOOK_SECONDS", 0.01)
    router = Router()
    await archive(data_dir, store, *day(router), router.down())
    await rebuild(store, Rhythm(8, 7))
    before = await tables(store)
    truth = await prefixes(store, T0 + timedelta(hours=12))
    async with projecting(store, Rhythm(8, 7), changes_days=1):

        async def swept() -> bool:
            return not any(one.base for one in await tables(store))

        await until(swept)
    assert await tables(store) == [one for one in before if one.base is None]
    assert await prefixes(store, T0 + timedelta(hours=12)) == truth


async def test_the_lag_is_told(data_dir: Path, store: Store) -> None:
    router = Router()
    await archive(data_dir, store, *day(router, hours=2))
    assert await rib_lag(store) == 5
    await rebuild(store, Rhythm(24, 1))
    assert await rib_lag(store) == 0


def test_routes_come_out_of_a_page_as_they_went_in() -> None:
    attributes = b"\x05\x00\x00\x00\x00"
    items: list[tuple[RouteKey, RouteEntry]] = [
        (RouteKey("ipv4 unicast", None, None, "10.0.0.0/8"), RouteEntry(0, attributes)),
        (RouteKey("ipv4 unicast", None, 2**32 - 1, "10.0.0.0/8"), RouteEntry(2**41, attributes + b"x")),
        (RouteKey("ipv6 mpls-vpn", "1:1", 0, "2001:db8::/32"), RouteEntry(1, attributes)),
        (RouteKey("ipv4 flow", None, None, '{"a": "1\\n2"}'), RouteEntry(5, attributes)),
    ]
    assert pages.unpack(pages.pack(items)) == items
    assert [order(key) for key, _ in items] == sorted(order(key) for key, _ in items)


def test_the_hours_at_which_tables_are_kept() -> None:
    eight = Rhythm(8, 1)
    assert list(eight.marks(T0, T0.replace(hour=8))) == [T0.replace(hour=8)]
    assert list(eight.marks(T0.replace(hour=8), T0.replace(hour=15))) == []
    assert list(Rhythm(24, 1).marks(T0, T0 + timedelta(days=2))) == [
        T0.replace(hour=0) + timedelta(days=day) for day in (1, 2)
    ]


async def test_many_updates_of_one_moment_are_folded_in_the_order_of_their_lines(data_dir: Path, store: Store) -> None:
    """The clock is set back, and stored time stands still: tables neither split a time nor change the order within
    it."""
    router = Router()
    lines = [*router.up(), *(router.announce(f"10.{number}.0.0/16") for number in range(20))]
    router.time -= 3600
    for number in range(20):
        lines += [router.withdraw(f"10.{number}.0.0/16"), router.announce(f"10.{number}.0.0/16", path=(64500, 7))]
    lines += [router.withdraw(f"10.{number}.0.0/16") for number in range(15)]
    await archive(data_dir / "spool", store, *lines)
    for stored in (False, True):
        if stored:
            assert await rebuild(store, Rhythm(hours=8, updates=5))
        routes = [route async for route in rib(store, RibQuery())]
        assert [route.prefix for route in routes] == [f"10.{number}.0.0/16" for number in range(15, 20)]
        assert {str(route.as_path) for route in routes} == {"64500 7"}
