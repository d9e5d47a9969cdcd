"""Consumers get all that is stored, each instance's in order of its lines, at least once, whoever is killed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from collector.settings.keeping import RetentionSettings
from collector.spool.spool import spool_identity
from collector.store.consumers import Consumer, Expired, ReadDocument
from collector.store.mongo import Store
from collector.store.traits import MONGODB, SECANTUSDB, Traits
from schemas.keys import collector_number, instance_name, key_collector, key_line
from schemas.stored import UpdateDocument
from tests.store.test_archive import archive, documents
from tests.store.test_origins import a_day
from tests.store.test_traits import NARROW, AsIf
from tests.store.test_verify import start
from tests.support import Router

Seen = tuple[str, Any]
READ = ("updates", "messages", "gaps")


@pytest.fixture
async def store(mongodb_uri: str, database: str) -> Any:
    async with AsIf.open(mongodb_uri, database=database, primary=True) as opened:
        await opened.prepare()
        yield opened


async def store_lines(spool: Path, store: Store, *lines: bytes, instance: str = "") -> None:
    spool.mkdir(parents=True, exist_ok=True)
    await archive(spool, store, *lines, spool=spool_identity(spool), instance=instance)


async def read(consumer: Consumer) -> list[ReadDocument | Expired]:
    return [one async for one in consumer.read()]


async def follow(consumer: Consumer) -> list[Seen]:
    """Read everything, and continue after it."""
    found: list[Seen] = []
    for one in await read(consumer):
        assert isinstance(one, ReadDocument)
        found.append((one.collection, one.document["_id"]))
        await consumer.advance(one)
    return found


async def whole(store: Store, instance: str = "") -> list[Seen]:
    """All that is stored of an instance, by line."""
    number = collector_number(instance_name("test", instance))
    rows = []
    for collection in READ:
        for one in await documents(store, collection):
            if key_collector(one["_id"]) == number:
                line = one["line"] if collection == "gaps" else key_line(one["_id"])
                rows.append((line, collection != "gaps", collection, one["_id"]))
    return [(collection, key) for _, _, collection, key in sorted(rows)]


def some_lines() -> list[bytes]:
    """A day of three peers, with rejects, gaps, answers, and receivers that start after the lines that they find."""
    lines = a_day(3, flows=True)
    chance = random.Random(3)
    for at in sorted(chance.sample(range(10, len(lines)), 12), reverse=True):
        kind = chance.randrange(4)
        if kind == 0:
            lines[at] = b"rubbish"
        elif kind == 1:
            lines[at] = lines[at].replace(b'"message": {', b'"message": [', 1)
        elif kind == 2:
            lines.insert(at, b"done")
        else:
            lines.insert(at, start(10_000 + at, 1.8e9 + 50_000 + at))
    return lines


@pytest.mark.parametrize("traits", [MONGODB, SECANTUSDB, NARROW], ids=["MongoDB's", "SecantusDB's", "narrow"])
async def test_all_comes_in_the_order_of_lines(data_dir: Path, store: AsIf, traits: Traits) -> None:
    store.of = traits
    consumer = Consumer(store, "alerts")
    assert await read(consumer) == []
    await store_lines(data_dir / "spool", store, *some_lines())
    found = await follow(consumer)
    assert found == await whole(store)
    assert {collection for collection, _ in found} == set(READ)
    assert await read(consumer) == []


async def test_a_new_name_begins_with_what_is_stored_from_then_on(data_dir: Path, store: AsIf) -> None:
    router, spool = Router(), data_dir / "spool"
    await store_lines(spool, store, *router.up(), router.announce("10.0.0.0/8"))
    consumer = Consumer(store, "alerts")
    assert await read(consumer) == []
    await store_lines(spool, store, router.announce("10.1.0.0/16"))
    (one,) = await read(consumer)
    assert isinstance(one, ReadDocument)
    assert cast("UpdateDocument", one.document)["announce"][0]["nlri"] == ["10.1.0.0/16"]
    assert await read(Consumer(store, "another")) == []


async def test_an_instance_that_is_new_is_read_from_its_first_line(data_dir: Path, store: AsIf) -> None:
    await store_lines(data_dir / "spool", store, *Router().up())
    consumer = Consumer(store, "alerts")
    assert await read(consumer) == []
    await store_lines(data_dir / "spool-1", store, *a_day(4), instance="1")
    assert await follow(consumer) == await whole(store, "1")


async def test_a_spool_that_took_a_name_over_is_read_from_its_first_line(
    data_dir: Path, store: AsIf, mongodb_uri: str, database: str
) -> None:
    router = Router()
    await read(consumer := Consumer(store, "alerts"))
    await store_lines(data_dir / "spool", store, *router.up(), *[router.announce("10.0.0.0/8") for _ in range(9)])
    assert len(await follow(consumer)) == 13
    await store.remove("meta", {"_id": "collector:test"})  # as the error says that tells of two spools
    later = Router()
    later.time = router.time + 100
    await store_lines(data_dir / "new" / "spool", store, *later.up(), later.announce("10.1.0.0/16"))
    found = await follow(consumer)
    assert len(found) >= 5
    assert found[-1][0] == "updates"
    assert await read(consumer) == []


@pytest.mark.parametrize("seed", range(4))
async def test_who_is_killed_between_reading_and_advancing_misses_nothing(
    data_dir: Path, store: AsIf, seed: int
) -> None:
    """What was given before a kill is in order, and what is given again had not been advanced over."""
    chance, spool = random.Random(seed), data_dir / "spool"
    await read(Consumer(store, "alerts"))
    lines = some_lines()
    seen: list[Seen] = []
    done = 0
    while lines or done < len(seen):
        count = chance.randrange(1, 60)
        await store_lines(spool, store, *lines[:count])
        del lines[:count]
        consumer = Consumer(store, "alerts")  # another process
        left = chance.randrange(80)
        at = again = None
        async for one in consumer.read():
            assert isinstance(one, ReadDocument)
            this = (one.collection, one.document["_id"])
            if at is None:
                at = again = seen.index(this) if this in seen else len(seen)
                assert at <= done, "something was left out"
            assert this == [*seen, this][at]
            seen[at:] = seen[at:] or [this]
            at += 1
            left -= 1
            if left < 0:
                break  # killed, with this one in hand
            if chance.random() < 0.5:
                await consumer.advance(one)
                done = max(done, at)
        assert again is None or again <= done
    assert seen == await whole(store)


async def test_nothing_is_given_that_another_may_still_come_before(data_dir: Path, store: AsIf) -> None:
    """Batches are written concurrently: a later one may be stored first."""
    router, spool = Router(), data_dir / "spool"
    await read(consumer := Consumer(store, "alerts"))
    await store_lines(spool, store, *router.up())
    await follow(consumer)
    (last,) = await store.meta.reached()
    await store_lines(spool, store, *[router.announce(f"10.{number}.0.0/16") for number in range(3)])
    (first, *_) = await documents(store, "updates")
    await store.remove("updates", {"_id": first["_id"]})  # it is on its way
    await store.replace(
        "meta", [{"_id": "collector:test", "spool": last.spool, "stored": {"line": last.line, "ts": last.ts}}]
    )
    assert await read(consumer) == []
    await store.insert("updates", [first])
    await store.meta.note_stored(last._replace(line=last.line + 3, ts=last.ts + timedelta(hours=1)))
    assert len(await follow(consumer)) == 3


async def test_a_position_never_goes_back(data_dir: Path, store: AsIf) -> None:
    await read(consumer := Consumer(store, "alerts"))
    router = Router()
    await store_lines(data_dir / "spool", store, *router.up(), router.announce("10.0.0.0/8"))
    found = await read(consumer)
    await consumer.advance(found[-1])
    await consumer.advance(found[0])
    assert await read(consumer) == []


async def test_what_expired_meanwhile_is_told(data_dir: Path, store: AsIf) -> None:
    router, spool = Router(), data_dir / "spool"
    await read(consumer := Consumer(store, "alerts"))
    old = datetime.now(UTC) - timedelta(days=10)
    router.time = old.timestamp()
    await store_lines(spool, store, *router.up(), router.announce("10.0.0.0/8"))
    await follow(consumer)
    router.time += 60
    lost = router.announce("10.1.0.0/16")
    router.time = datetime.now(UTC).timestamp() - 60
    await store_lines(spool, store, lost, router.announce("10.2.0.0/16"))
    days = dict.fromkeys(RetentionSettings.model_fields, 0)
    await store.maintain({**days, "updates_days": 5})
    await store.remove("updates", {"ts": {"$lt": datetime.now(UTC) - timedelta(days=5)}})
    expired, one = await read(consumer)
    assert isinstance(expired, Expired)
    assert expired.setting == "updates_days"
    assert abs(expired.after - old) < timedelta(minutes=1)
    assert abs(datetime.now(UTC) - timedelta(days=5) - expired.before) < timedelta(minutes=1)
    assert isinstance(one, ReadDocument)
    await consumer.advance(expired)
    assert len(await read(consumer)) == 2, "what is advanced over is what was read"
    await consumer.advance(one)
    assert await read(consumer) == []


async def test_a_store_that_may_lag_behind_is_refused(mongodb_uri: str) -> None:
    async with Store.open(mongodb_uri) as lagging:
        with pytest.raises(ValueError, match="primary"):
            Consumer(lagging, "alerts")
