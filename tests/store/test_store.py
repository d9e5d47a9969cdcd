"""What the archive needs from a store, for every server and driver."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from collector.errors import StoreError, StoreUnavailableError
from collector.store.driver import Document
from collector.store.failures import errors_of
from collector.store.mongo import Store
from collector.store.uri import redact, with_database

T0 = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


def update(number: int, **more: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(number.to_bytes(12)),
        "v": 1,
        "ts": T0.replace(second=number % 60),
        "collector": "test",
        "peer": {"address": f"192.0.2.{number % 3}", "asn": 64500},
        "announce": [{"family": "ipv4 unicast", "nlri": [f"10.{number % 256}.0.0/16", "10.0.0.0/8"]}],
        **more,
    }


async def everything(store: Store, collection: str = "updates", **query: Any) -> list[dict[str, Any]]:
    return [document async for document in store.find(collection, query, sort=[("_id", 1)])]


async def test_writing_twice_is_writing_once(store: Store) -> None:
    documents = [update(number) for number in range(50)]
    assert await store.insert("updates", documents[:30]) == []
    assert await store.insert("updates", documents) == []
    assert await everything(store) == documents


async def test_documents_come_back_as_they_were(store: Store) -> None:
    document = update(1, wire=b"\xff\x00", attributes={"med": 2**32 - 1, "communities": ["64500:1"]}, big=2**63 - 1)
    await store.insert("updates", [document])
    (found,) = await everything(store)
    assert found == document
    assert found["ts"].tzinfo is not None


async def test_a_validator_of_somebody_leaves_no_document_out(store: Store) -> None:
    """Documents that it refuses are not taken for faulty: the failure is reported, and they are written again."""
    documents = [update(1), update(2, v="two"), update(3)]
    with pytest.raises(StoreError, match="refuses valid documents of updates, because of a validator") as caught:
        await store.insert("updates", documents)
    assert "db.updates.getIndexes()" in caught.value.cure
    assert [document["_id"] for document in await everything(store)] == [documents[0]["_id"], documents[2]["_id"]]


async def test_a_unique_index_of_somebody_leaves_no_document_out(store: Store, mongodb_uri: str, database: str) -> None:
    async with AsyncMongoClient[Document](mongodb_uri) as client:
        await client[database]["updates"].create_index("ts", unique=True)
    assert await store.insert("updates", [update(1)]) == []
    with pytest.raises(StoreError, match="because of a unique index"):
        await store.insert("updates", [update(1), update(61)])
    assert len(await everything(store)) == 1


async def test_a_document_that_bson_cannot_hold_is_refused_alone(store: Store) -> None:
    documents = [
        update(1),
        update(2, count=2**64),
        update(3, text="\ud800"),
        update(4, text="x" * 17_000_000),
        update(5),
    ]
    refusals = await store.insert("updates", documents)
    assert [refusal.at for refusal in refusals] == [1, 2, 3]
    assert len(await everything(store)) == 2


async def test_replace_inserts_then_replaces(store: Store) -> None:
    session = {"_id": ObjectId(), "v": 1, "collector": "test", "peer": {"address": "192.0.2.1"}, "since": T0}
    await store.replace("sessions", [session])
    await store.replace("sessions", [{**session, "until": T0}])
    assert await everything(store, "sessions") == [{**session, "until": T0}]


async def test_find_sorts_limits_and_picks_fields(store: Store) -> None:
    await store.insert("updates", [update(number) for number in range(10)])
    query = {"announce.nlri": "10.0.0.0/8"}
    found = [one async for one in store.find("updates", query, sort=[("ts", -1)], limit=2, fields=("ts",))]
    assert [set(one) for one in found] == [{"_id", "ts"}] * 2
    assert found[0]["ts"] > found[1]["ts"]


@pytest.mark.parametrize(
    ("collection", "query", "sort"),
    [
        ("updates", {"announce.nlri": "10.1.0.0/16"}, {}),
        ("updates", {"announce.nlri": "10.1.0.0/16", "peer.address": "192.0.2.1", "ts": {"$lt": T0}}, {"ts": -1}),
        ("updates", {"withdraw.nlri": "10.1.0.0/16", "peer.address": "192.0.2.1"}, {}),
        ("updates", {"peer.address": "192.0.2.1", "ts": {"$gte": T0}}, {"ts": 1}),
        ("messages", {"peer.address": "192.0.2.1", "kind": "state"}, {}),
        ("sessions", {"peer.address": "192.0.2.1"}, {"since": -1}),
        ("sessions", {"until": {"$gte": T0}}, {}),
    ],
)
async def test_every_question_has_its_index(
    store: Store, collection: str, query: dict[str, Any], sort: dict[str, int]
) -> None:
    await store.insert("updates", [update(number) for number in range(200)])
    plan = await store.explain(collection, query, sort=list(sort.items()))
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_preparing_again_is_harmless(store: Store) -> None:
    await store.insert("updates", [update(1)])
    await store.prepare()
    assert len(await everything(store)) == 1


async def test_a_newer_schema_is_left_alone(store: Store) -> None:
    await store.replace("meta", [{"_id": "schema", "version": 99}])
    with pytest.raises(StoreError, match="schema 99"):
        await store.prepare()


async def test_the_server_says_what_it_is(store: Store) -> None:
    assert (await store.server_version()).split()[0] in ("SecantusDB", "MongoDB")


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_server_that_is_not_there(driver: Any) -> None:
    async with Store.open("mongodb://user:secret@127.0.0.1:9/?authSource=admin", driver=driver, timeout=0.2) as absent:
        with pytest.raises(StoreUnavailableError) as caught:
            await absent.server_version()
    assert "127.0.0.1:9" in caught.value.cause
    assert "secret" not in caught.value.cause
    assert caught.value.cure


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
@pytest.mark.parametrize("uri", ["http://user:secret@x", "mongodb://user:sec:ret@x/", "mongodb://x:port/", ""])
def test_a_bad_uri_is_a_message_without_its_secret(uri: str, driver: Any) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(uri, driver=driver)
    assert "secret" not in caught.value.cause
    assert "sec:ret" not in caught.value.cause


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://h:1/db?replicaSet=a", "mongodb://h:1/db?replicaSet=a"),
        ("mongodb://user:pass@h1,h2/db", "mongodb://***@h1,h2/db"),
        ("mongodb+srv://u:p@ss@h/", "mongodb+srv://***@h/"),
        ("mongodb://h/?tlsCertificateKeyFilePassword=x&w=1", "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1"),
    ],
)
def test_redaction(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://db", "mongodb://db/x"),
        ("mongodb://a,b:1/?replicaSet=rs0", "mongodb://a,b:1/x?replicaSet=rs0"),
        ("mongodb://me:pw@db/", "mongodb://me:pw@db/x?authSource=admin"),
        ("mongodb://me:pw@db/mine?tls=true", "mongodb://me:pw@db/x?tls=true&authSource=mine"),
        ("mongodb+srv://me:pw@db/?authSource=mine", "mongodb+srv://me:pw@db/x?authSource=mine"),
        ("mongodb://me@db/?authMechanism=MONGODB-X509", "mongodb://me@db/x?authMechanism=MONGODB-X509"),
    ],
)
def test_a_database_to_begin_in(uri: str, expected: str) -> None:
    assert with_database(uri, "x") == expected


async def test_a_question_that_is_cancelled_is_not_a_store_that_fails() -> None:
    """Pymongo may report a cancelled operation as a failed connection (`_OperationCancelled`)."""

    async def ask() -> None:
        with errors_of("mongodb://127.0.0.1/"):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise AutoReconnect("operation cancelled") from None

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
