"""Reading in a total order, whatever order a server gives, with cursors that are closed and reopened where they
were."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from bson import ObjectId

from collector.errors import StoreError
from collector.store import mongo, reading
from collector.store.mongo import Document, Store
from tests.faults.mongo_proxy import Forward, Message, Proxy, ResetConnection, proxy

T0 = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
PEER = "192.0.2.1"
OLDEST, NEWEST = (("ts", 1), ("_id", 1)), (("ts", -1), ("_id", -1))


def some_updates(count: int = 60) -> list[Document]:
    """UPDATEs with few distinct times, in no order."""
    chance = random.Random(count)
    made = [
        {
            "_id": ObjectId(number.to_bytes(12)),
            "v": 1,
            "ts": T0 + timedelta(seconds=chance.randrange(6)),
            "collector": "test",
            "peer": {"address": PEER, "asn": 64500},
        }
        for number in range(count)
    ]
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("sort", [OLDEST, NEWEST], ids=["oldest first", "newest first"])
async def test_those_of_one_moment_come_in_the_order_of_their_keys(store: Store, sort: Any) -> None:
    documents = some_updates()
    await store.insert("updates", documents)
    documents.sort(key=lambda one: (one["ts"], one["_id"]), reverse=sort is NEWEST)
    for limit in (0, 1, 5, 11, 30, 59, 60, 61):
        found = [one async for one in store.find("updates", {"peer.address": PEER}, sort=sort, limit=limit)]
        assert found == documents[: limit or None], limit
    some = store.find("updates", {"ts": {"$gte": T0 + timedelta(seconds=2)}}, sort=sort, fields=("collector",), limit=7)
    assert [one["_id"] async for one in some] == [
        one["_id"] for one in documents if one["ts"] >= T0 + timedelta(seconds=2)
    ][:7]


@pytest.mark.parametrize("sort", [OLDEST, NEWEST], ids=["oldest first", "newest first"])
async def test_very_many_of_one_moment_are_read_piece_by_piece(
    store: Store, sort: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a clock was set back, when all messages of an hour have one time."""
    documents = some_updates()
    await store.insert("updates", documents)
    documents.sort(key=lambda one: (one["ts"], one["_id"]), reverse=sort is NEWEST)
    put_in_order, held = reading._in_order, set[int]()

    def look(same: list[Document], sort: Any) -> list[Document]:
        held.add(len(same))
        return put_in_order(same, sort)

    monkeypatch.setattr(reading, "_in_order", look)
    monkeypatch.setattr(reading, "_MOST_OF_ONE_PLACE", 7)
    monkeypatch.setattr(reading, "_PIECE", 3)
    for limit in (0, 1, 5, 11, 30, 59, 60, 61):
        found = [one async for one in store.find("updates", {"peer.address": PEER}, sort=sort, limit=limit)]
        assert found == documents[: limit or None], limit
    for when in ({"$gte": T0 + timedelta(seconds=2), "$lt": T0 + timedelta(seconds=5)}, T0 + timedelta(seconds=3)):
        times = {T0 + timedelta(seconds=number) for number in (range(2, 5) if isinstance(when, dict) else [3])}
        some = store.find("updates", {"ts": when}, sort=sort, fields=("collector",))
        assert [one["_id"] async for one in some] == [one["_id"] for one in documents if one["ts"] in times]
    assert max(held) <= 7


@pytest.fixture
async def between(embedded_uri: str) -> AsyncIterator[Proxy]:
    async with proxy(urlsplit(embedded_uri).port or 0) as opened:
        yield opened


@pytest.fixture
async def far(
    between: Proxy, embedded_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """A store behind the proxy, with so many documents that several answers are needed."""
    monkeypatch.setattr(mongo, "_AT_ONCE", 10)
    monkeypatch.setattr(mongo, "_AT_LEAST", 10)
    there = urlsplit(embedded_uri)
    # A server that steps down tells the driver's monitor at once. The embedded one, which did not, has to be asked.
    query = "&".join(filter(None, (there.query, "serverMonitoringMode=poll")))
    uri = there._replace(netloc=there.netloc.replace(f":{there.port}", f":{between.port}"), path="/", query=query)
    async with Store.open(uri.geturl(), database=database) as opened:
        await opened.prepare()
        await opened.insert("updates", some_updates())
        yield opened


@pytest.fixture
def mongodb_uri(request: pytest.FixtureRequest, embedded_uri: str) -> str:
    return embedded_uri


async def forgotten(request: Message, _forward: Forward) -> bytes:
    return request.answer({"ok": 0.0, "errmsg": "cursor id 7 not found", "code": 43, "codeName": "CursorNotFound"})


async def stepped_down(request: Message, _forward: Forward) -> bytes:
    return request.answer({"ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"})


async def reset(_request: Message, _forward: Forward) -> bytes:
    raise ResetConnection


@pytest.mark.parametrize("fault", [forgotten, stepped_down, reset])
@pytest.mark.parametrize("sort", [OLDEST, NEWEST], ids=["oldest first", "newest first"])
async def test_what_breaks_off_goes_on_where_it_was(between: Proxy, far: Store, fault: Any, sort: Any) -> None:
    broken = 0

    async def every_other(request: Message, forward: Forward) -> bytes:
        nonlocal broken
        if request.command == "getMore" and between.commands["getMore"] % 2:
            broken += 1
            answer: bytes = await fault(request, forward)
            return answer
        return await forward()

    documents = sorted(some_updates(), key=lambda one: (one["ts"], one["_id"]), reverse=sort is NEWEST)
    await between.set(every_other)
    assert [one async for one in far.find("updates", {"peer.address": PEER}, sort=sort)] == documents
    assert broken


async def test_what_cannot_go_on_says_why(between: Proxy, far: Store) -> None:
    async def always(request: Message, forward: Forward) -> bytes:
        return await (forgotten(request, forward) if request.command == "getMore" else forward())

    await between.set(always)
    with pytest.raises(StoreError, match="has dropped the cursor of this query") as caught:
        assert [one async for one in far.find("updates", {})]
    assert caught.value.cure == "ask again"


async def test_a_reader_that_stops_leaves_no_cursor_behind(between: Proxy, far: Store) -> None:
    async with aclosing(far.find("updates", {"peer.address": PEER}, sort=OLDEST)) as seen:
        await anext(seen)
    reading = far.find("updates", {})  # held, as what stopped in the middle of an answer holds it
    await anext(reading)
    await far.close()
    assert between.commands["killCursors"] == 2


async def test_many_streams_have_small_batches(between: Proxy, far: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "_AT_ONCE", 1000)
    sizes = []

    async def look(request: Message, forward: Forward) -> bytes:
        if request.command == "find":
            sizes.append(request.body["batchSize"])
        return await forward()

    await between.set(look)
    streams = [far.find("updates", {"peer.address": PEER}, sort=OLDEST) for _ in range(20)]
    for stream in streams:
        await anext(stream)
    assert sizes == [1000 // number for number in range(1, 21)]
