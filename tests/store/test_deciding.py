"""Decisions are based on the primary, whatever the URI says, and concurrent decisions agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from pymongo import AsyncMongoClient

from collector.errors import StoreError
from collector.settings.keeping import RetentionSettings
from collector.store.collections import COLLECTIONS, SCHEMA_VERSION
from collector.store.driver import Document
from collector.store.migrate import migrate
from collector.store.mongo import Store
from schemas.keys import collector_number
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import Forward, Message, Proxy, proxy
from tests.store.test_migrate import Watching
from tests.store.test_store import update

DAYS = RetentionSettings().model_dump()


@asynccontextmanager
async def replica_set(port: int) -> AsyncIterator[tuple[str, Proxy, Proxy]]:
    """A replica set whose secondary has no data yet: its URI, and its members."""
    async with proxy(port) as primary, proxy(port) as secondary:
        ports = [primary.port, secondary.port]
        member = faults.as_member(lambda: primary.port, lambda: primary.port, lambda: ports)
        await primary.set(member)
        behind = faults.as_member(lambda: secondary.port, lambda: primary.port, lambda: ports)

        async def stale(request: Message, forward: Forward) -> bytes:
            if request.command in ("find", "listCollections", "listIndexes", "distinct"):
                cursor = {"id": 0, "ns": "bgpledger.stale", "firstBatch": []}
                return request.answer({"ok": 1.0, "cursor": cursor, "values": []})
            return await behind(request, forward)

        await secondary.set(stale)
        login = urlsplit(primary.uri()).netloc.rpartition("@")[0]
        members = ",".join(f"127.0.0.1:{port}" for port in ports)
        uri = f"mongodb://{login}@{members}/?authSource=admin&replicaSet=rs&readPreference=secondary"
        yield f"{uri}&retryWrites=false", primary, secondary


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


async def test_whoever_writes_reads_from_the_primary(embedded_uri: str, database: str) -> None:
    async with replica_set(urlsplit(embedded_uri).port or 0) as (uri, _primary, secondary):
        async with Store.open(uri, database=database, primary=True) as store:
            await store.prepare()
            await store.meta.claim("one", "a" * 32)
            await store.insert("updates", [update(1)])
            await store.maintain(DAYS)
            assert await store.lifetimes() == {"keepalives_days": 7 * 86_400}
            assert await store.meta.schema() == SCHEMA_VERSION
            assert await store.meta.claimed("a" * 32) == ["one"]
            assert len([one async for one in store.find("updates", {})]) == 1
            assert await migrate(store, Watching()) == []
        assert secondary.commands.keys() <= {"hello", "ismaster", None, "endSessions"}
        async with Store.open(uri, database=database) as store:
            assert [one async for one in store.find("updates", {})] == [], "a question may be asked of a secondary"
            assert await store.meta.schema() == SCHEMA_VERSION


async def test_an_old_schema_that_cannot_be_seen_stays(embedded_uri: str, database: str) -> None:
    """A program that does not see it must not replace it by the newest."""
    async with AsyncMongoClient[Document](embedded_uri) as client:
        await client[database]["meta"].insert_one({"_id": "schema", "version": 1})
    async with proxy(urlsplit(embedded_uri).port or 0) as between:
        looks = 0

        async def blind_at_first(request: Message, forward: Forward) -> bytes:
            nonlocal looks
            if request.command == "find" and request.body.get("filter") == {"_id": "schema"}:
                looks += 1
                if looks == 1:
                    return request.answer({"ok": 1.0, "cursor": {"id": 0, "ns": "x.meta", "firstBatch": []}})
            return await forward()

        await between.set(blind_at_first)
        async with Store.open(between.uri(), database=database) as store:
            await store.prepare()
            assert looks > 1
            assert await store.meta.schema() == 1


async def test_many_who_begin_at_once_agree(embedded_uri: str, database: str) -> None:
    """Each creates what is missing; none fails because another was faster."""

    async def begin(number: int) -> None:
        async with Store.open(embedded_uri, database=database) as store:
            await store.prepare()
            await store.meta.claim(f"collector {number}", f"{number:032}")
            assert await store.maintain(DAYS) == []

    await asyncio.gather(*[begin(number) for number in range(6)])
    async with AsyncMongoClient[Document](embedded_uri) as client:
        assert set(await client[database].list_collection_names()) == {*(one.name for one in COLLECTIONS), "meta"}
        names = {one.name: set(await client[database][one.name].index_information()) - {"_id_"} for one in COLLECTIONS}
    ours = {one.name: one.indexes_of(SCHEMA_VERSION, partial=False) for one in COLLECTIONS}
    wanted = {name: {index.document["name"] for index in those} for name, those in ours.items()}
    wanted["messages"] |= {"expire_keepalives"}
    assert names == wanted


@pytest.mark.parametrize(
    ("command", "code"), [("create", 48), ("createIndexes", 85), ("createIndexes", 86), ("update", 11000)]
)
async def test_a_race_that_another_won_is_no_failure(embedded_uri: str, database: str, command: str, code: int) -> None:
    """The other's command is completed a moment before ours, which is therefore refused."""
    async with proxy(urlsplit(embedded_uri).port or 0) as between:

        async def too_late(request: Message, forward: Forward) -> bytes:
            answer = await forward()
            if request.command != command or ("lsid" in request.body and database not in str(request.body)):
                return answer
            if command == "update":
                error = {"index": 0, "code": code, "keyPattern": {"_id": 1}, "keyValue": {}, "errmsg": "E11000"}
                return request.answer({"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": [error]})
            return request.answer({"ok": 0.0, "code": code, "errmsg": "another was quicker"})

        await between.set(too_late)
        async with Store.open(between.uri(), database=database) as store:
            await store.prepare()
            await store.meta.claim("one", "a" * 32)
            assert await store.maintain(DAYS) == []
            assert await store.lifetimes() == {"keepalives_days": 7 * 86_400}


# --- names ------------------------------------------------------------------------------------------------------------


ALIKE = ("c2895", "c3346")


def test_these_names_hash_alike() -> None:
    assert collector_number(ALIKE[0]) == collector_number(ALIKE[1])


async def test_two_names_that_hash_alike_are_noticed(embedded_uri: str, database: str) -> None:
    first, second = ALIKE
    async with Store.open(embedded_uri, database=database) as store:
        await store.meta.claim(first, "a" * 32)
        with pytest.raises(StoreError, match=f"the keys of '{second}' could be those of '{first}'") as caught:
            await store.meta.claim(second, "b" * 32)
        assert "another name" in caught.value.cure
        assert await store.meta.claimed("b" * 32) == []
        await store.meta.claim(first, "a" * 32)


async def test_a_name_of_before_that_hashes_alike_is_noticed(embedded_uri: str, database: str) -> None:
    """Names older than 0.2.0 claimed no number; the collectors with these names continue."""
    first, second = ALIKE
    async with AsyncMongoClient[Document](embedded_uri) as client:
        await client[database]["meta"].insert_one({"_id": f"collector:{first}", "spool": "a" * 32})
    async with Store.open(embedded_uri, database=database) as store:
        with pytest.raises(StoreError, match="the same 24 bits"):
            await store.meta.claim(second, "b" * 32)
        await store.meta.claim(first, "a" * 32)
        assert await store.meta.claimed("a" * 32) == [first]
