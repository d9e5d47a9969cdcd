"""What the database removes by itself, and when a change of retention takes effect."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from collector.errors import StoreError
from collector.settings.keeping import RetentionSettings
from collector.store.collections import EXPIRIES
from collector.store.expiry import Sweeper
from collector.store.mongo import Store
from tests.support import until

DAY = 86_400
NOW = datetime.now(UTC).replace(microsecond=0)
PEER = {"address": "192.0.2.1", "asn": 64500}
COLLECTIONS = {expiry.collection for expiry in EXPIRIES}


def days(**changed: int) -> dict[str, int]:
    return {**RetentionSettings().model_dump(), **{f"{name}_days": value for name, value in changed.items()}}


def document(age: int, **more: Any) -> dict[str, Any]:
    """Of `age` days ago."""
    return {
        "_id": ObjectId(),
        "v": 1,
        "collector": "test",
        "peer": PEER,
        "ts": NOW - timedelta(days=age),
        **more,
    }


async def ages(store: Store, collection: str, **query: Any) -> list[int]:
    return sorted([(NOW - one["ts"]).days async for one in store.find(collection, query)])


async def swept(store: Store, sweeper: Sweeper, left: int) -> None:
    """After as many sweeps as it takes until so many documents are left, whoever removed the others.

    A server may show a new index late, and one that has a monitor of its own may be quicker than a sweep.
    """

    async def enough() -> bool:
        await sweeper.sweep()
        return sum([len(await ages(store, name)) for name in COLLECTIONS]) <= left

    await until(enough, what=f"{left} documents are left")


def test_every_setting_has_its_index() -> None:
    assert {expiry.setting for expiry in EXPIRIES} == set(RetentionSettings.model_fields)


async def test_only_keepalives_expire_by_default(store: Store) -> None:
    assert await store.lifetimes() == {}
    assert not await store.maintain(days())
    assert await store.lifetimes() == {"keepalives_days": 7 * DAY}


async def test_a_change_takes_effect_on_a_live_database(store: Store) -> None:
    await store.maintain(days(keepalives=7, updates=30))
    await store.maintain(days(keepalives=3, updates=30, sessions=365, messages=90, rejects=1))
    assert await store.lifetimes() == {
        "keepalives_days": 3 * DAY,
        "updates_days": 30 * DAY,
        "messages_days": 90 * DAY,
        "sessions_days": 365 * DAY,
        "rejects_days": DAY,
    }
    await store.prepare()
    await store.maintain(days(keepalives=0, updates=60))
    assert await store.lifetimes() == {"updates_days": 60 * DAY}
    await store.maintain(days(keepalives=0))
    assert await store.lifetimes() == {}


async def test_the_other_indexes_serve_as_before(store: Store) -> None:
    await store.maintain(days(updates=30, messages=30, sessions=30, rejects=30))
    await store.insert("messages", [document(1, kind=kind) for kind in ("keepalive", "state") for _ in range(50)])
    for kind in ("keepalive", "state"):
        query = {"peer.address": "192.0.2.1", "kind": kind, "ts": {"$gte": NOW - timedelta(days=2)}}
        plan = await store.explain("messages", query)
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert len(await ages(store, "messages", **query)) == 50
    await store.insert("updates", [document(1, announce=[{"nlri": ["192.0.2.0/24"]}])])
    plan = await store.explain("updates", {"peer.address": "192.0.2.1", "ts": {"$gte": NOW}}, sort=[("ts", 1)])
    assert "peer" in str(plan["queryPlanner"]["winningPlan"])


async def test_what_is_too_old_goes_and_nothing_else(store: Store, mongodb_uri: str, database: str) -> None:
    """By our own sweep, which replaces the embedded store's monitor; MongoDB's runs once a minute."""
    everywhere = [document(age) for age in (1, 6, 8, 40)]
    await store.insert("messages", [{**one, "_id": ObjectId(), "kind": "keepalive"} for one in everywhere])
    await store.insert("messages", [{**one, "kind": "state"} for one in everywhere])
    await store.insert("updates", everywhere)
    await store.insert("rejects", [{**one, "reason": "none"} for one in everywhere])
    sessions = [document(age, since=NOW - timedelta(days=50)) for age in (1, 40)]
    await store.replace("sessions", [{**one, "until": one["ts"]} for one in sessions] + [document(41, since=NOW)])
    assert not await store.maintain(days())
    sweeper = Sweeper(mongodb_uri, database)
    await swept(store, sweeper, 17)
    assert await ages(store, "messages", kind="keepalive") == [1, 6]
    assert await ages(store, "messages", kind="state") == [1, 6, 8, 40]
    assert not await store.maintain(days(keepalives=2, messages=30, updates=7, sessions=30, rejects=5))
    await swept(store, sweeper, 9)
    assert await ages(store, "messages", kind="keepalive") == [1]
    assert await ages(store, "messages", kind="state") == [1, 6, 8]
    assert await ages(store, "updates") == [1, 6]
    assert await ages(store, "rejects") == [1]
    assert await ages(store, "sessions") == [1, 41]
    assert await sweeper.sweep() == 0


async def test_a_sweep_takes_many_in_small_pieces(store: Store, mongodb_uri: str, database: str) -> None:
    await store.replace("sessions", [document(9, since=NOW - timedelta(days=9))])
    old = [document(8, kind="keepalive") for _ in range(1200)]
    await store.insert("messages", [{**one, "ts": one["ts"] + timedelta(seconds=at)} for at, one in enumerate(old)])
    assert not await store.maintain(days())
    await swept(store, Sweeper(mongodb_uri, database), 1)
    assert await ages(store, "messages") == []


async def test_a_name_belongs_to_one_spool(store: Store) -> None:
    await store.meta.claim("one", "a" * 32)
    await store.meta.claim("one", "a" * 32)
    await store.meta.claim("two", "a" * 32)
    assert sorted(await store.meta.claimed("a" * 32)) == ["one", "two"]
    assert await store.meta.claimed("b" * 32) == []
    with pytest.raises(StoreError, match="another collector that is named 'one'") as caught:
        await store.meta.claim("one", "b" * 32)
    assert "collector:one" in caught.value.cure
