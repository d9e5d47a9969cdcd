"""How the store treats each way in which a server can refuse a batch, with either driver."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.errors import StoreError, StoreUnavailableError
from collector.store.driver import Driver
from collector.store.mongo import Store
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import Forward, Message, Proxy, proxy

DOCUMENTS: list[dict[str, Any]] = [{"_id": number} for number in range(3)]
NO_PRIMARY = faults.refusing(10107, "NotWritablePrimary", "not primary", errorLabels=["RetryableWriteError"])
PASSING = {
    "no primary": NO_PRIMARY,
    "no primary, any more": faults.refusing(91, "ShutdownInProgress", "The server is in quiesce mode"),
    "Atlas": faults.refusing(8000, "AtlasError", "you are over your space quota"),
    "no disk": faults.refusing(14031, "OutOfDiskSpace", "out of disk space"),
    "no disk for a document": faults.refusing_each(14031, "out of disk space"),
    "no primary for a document": faults.refusing_each(10107, "not primary"),
    "conflict": faults.refusing_each(112, "Write conflict"),
    "no majority": faults.not_durable,
    "not authorised": faults.refusing(13, "Unauthorized", "not authorized on bgpledger to execute command"),
    "bad command": faults.refusing(2, "BadValue", "no such write concern"),
    "reset": faults.resetting,
    "half an answer": faults.answering_half,
    "rubbish": faults.answering_rubbish,
    "never answering": faults.never_answering_writes,
}

OF_MOTOR = ("no disk for a document", "no majority", "never answering")
"""It is the same driver behind another face: one error of each sort."""

PATIENT_MS = 60_000


@pytest.fixture
async def between(embedded_uri: str) -> AsyncIterator[Proxy]:
    async with proxy(urlsplit(embedded_uri).port or 0) as one:
        yield one


def opened(between: Proxy, driver: Driver, *, answer_ms: int = PATIENT_MS) -> Store:
    uri = between.uri(socketTimeoutMS=answer_ms, serverMonitoringMode="poll")
    return Store.open(uri, database=f"refusals_{os.getpid()}_{time.monotonic_ns()}", driver=driver, timeout=60)


async def waited_out(attempt: Callable[[], Awaitable[None]]) -> None:
    """Try until the store answers in time, as the archiver does."""
    async with asyncio.timeout(120):
        while True:
            with suppress(StoreUnavailableError):
                return await attempt()


@pytest.mark.parametrize(("driver", "kind"), [*product(["pymongo"], PASSING), *product(["motor"], OF_MOTOR)])
async def test_a_passing_failure_is_no_refusal_of_a_document(between: Proxy, driver: Driver, kind: str) -> None:
    """The archiver waits until it is over: the whole batch is written again, and none of it becomes a reject."""
    # Only where no answer comes is the time-out short: a busy machine may take longer for one.
    answers = kind != "never answering"
    async with opened(between, driver, answer_ms=PATIENT_MS if answers else 300) as store:
        await between.set(PASSING[kind])
        with pytest.raises(StoreError):
            await store.insert("things", DOCUMENTS)
        with pytest.raises(StoreError):
            await store.replace("others", DOCUMENTS)
        with pytest.raises(StoreError):
            await store.prepare()
        await between.set(faults.passing)

        async def again() -> None:
            assert await store.insert("things", DOCUMENTS) == []
            await store.replace("others", DOCUMENTS)
            assert [one async for one in store.find("things", {}, sort=[("_id", 1)])] == DOCUMENTS
            assert [one async for one in store.find("others", {}, sort=[("_id", 1)])] == DOCUMENTS

        await (again() if answers else waited_out(again))


@pytest.mark.parametrize("code", [2, 57, 10334])
async def test_a_faulty_document_is_refused_alone(between: Proxy, code: int) -> None:
    async with opened(between, "pymongo") as store:
        await between.set(faults.refusing_one(1, code, "it is the document's fault"))
        (refusal,) = await store.insert("things", DOCUMENTS)
        assert (refusal.at, f"(code {code})" in refusal.reason) == (1, True)


UNIQUE = {"keyPattern": {"collector": 1}, "keyValue": {"collector": "one"}}
BADLY_SET_UP = {
    "a validator": faults.refusing_each(121, "Document failed validation"),
    "an index": faults.refusing_each(171, "cannot index parallel arrays [nlri] [asns]"),
    "a validator, of one": faults.refusing_one(1, 121, "Document failed validation"),
    "a validator, of all at once": faults.refusing(121, "DocumentValidationFailure", "Document failed validation"),
    "a unique index": faults.refusing_each(11000, "E11000 duplicate key error: collector_1", **UNIQUE),
    "a unique index, not named": faults.refusing_each(11000, "E11000 duplicate key error"),
}


@pytest.mark.parametrize("kind", BADLY_SET_UP)
async def test_a_refusal_by_a_validator_or_index_is_reported_as_a_failure(between: Proxy, kind: str) -> None:
    """No good document is left out because of a validator or an index that somebody created."""
    async with opened(between, "pymongo") as store:
        await between.set(BADLY_SET_UP[kind])
        with pytest.raises(StoreError, match="refuses valid documents of things") as caught:
            await store.insert("things", DOCUMENTS)
        assert not isinstance(caught.value, StoreUnavailableError), "the log would keep the cure back"
        assert "db.things.getIndexes()" in caught.value.cure
        with pytest.raises(StoreError, match="refuses valid documents of things"):
            await store.replace("things", DOCUMENTS)
        await between.set(faults.passing)
        assert await store.insert("things", DOCUMENTS) == []


async def test_a_duplicate_that_the_server_does_not_name_is_searched(between: Proxy) -> None:
    async with opened(between, "pymongo") as store:
        await store.insert("things", DOCUMENTS)
        await between.set(faults.refusing_each(11000, "E11000 duplicate key error"))
        assert await store.insert("things", DOCUMENTS) == []


@pytest.mark.parametrize(("code", "places"), [(2, (0,)), (15, (6,)), (10334, (2, 3)), (17420, tuple(range(7)))])
async def test_a_command_that_is_refused_for_a_document_is_narrowed_down_to_it(
    between: Proxy, code: int, places: tuple[int, ...]
) -> None:
    documents = [{"_id": at, "text": "marked" if at in places else "good"} for at in range(7)]
    async with opened(between, "pymongo") as store:
        await between.set(faults.refusing_marked(b"marked", code, "BSONObj size is invalid"))
        refusals = await store.insert("things", documents)
        assert [refusal.at for refusal in refusals] == list(places)
        assert all(f"(code {code})" in refusal.reason for refusal in refusals)
        with pytest.raises(StoreError, match="cannot be stored"):
            await store.replace("others", documents)
        good = [one for one in documents if one["text"] == "good"]
        for collection in ("things", "others"):
            assert [one async for one in store.find(collection, {}, sort=[("_id", 1)])] == good


@pytest.mark.parametrize(("driver", "places"), [("pymongo", (2, 3)), ("pymongo", (0,)), ("motor", (6,))])
async def test_a_connection_that_is_closed_for_a_document_is_narrowed_down_to_it(
    between: Proxy, driver: Driver, places: tuple[int, ...], no_pauses: None
) -> None:
    documents = [{"_id": at, "text": "marked" if at in places else "good"} for at in range(7)]
    async with opened(between, driver) as store:
        await between.set(faults.closing_on_marked(b"marked"))
        refusals = await store.insert("things", documents)
        assert [refusal.at for refusal in refusals] == list(places)
        assert all("it closes the connection on it" in refusal.reason for refusal in refusals)
        with pytest.raises(StoreError, match="cannot be stored"):
            await store.replace("others", documents)
        good = [one for one in documents if one["text"] == "good"]
        for collection in ("things", "others"):
            assert [one async for one in store.find(collection, {}, sort=[("_id", 1)])] == good
        assert [one async for one in store.find("meta", {})] == []


@pytest.mark.parametrize("works", [0, 1, 2])
async def test_no_document_is_blamed_for_a_server_that_goes_while_it_is_tried(
    between: Proxy, works: int, no_pauses: None
) -> None:
    """The server comes and goes: after some signs of life it does not even accept a small document."""
    closing, small = faults.closing_on_marked(b"marked"), 0

    async def fault(request: Message, forward: Forward) -> bytes:
        nonlocal small
        if request.command == "insert" and request.body["insert"] == "meta":
            small += 1
            if small > works:
                raise faults.ResetConnection
        return await closing(request, forward)

    document = {"_id": 1, "text": "marked"}
    async with opened(between, "pymongo") as store:
        await between.set(fault)
        with pytest.raises(StoreUnavailableError):
            await store.insert("things", [document])
        assert small == works + 1
        await between.set(faults.passing)
        assert await store.insert("things", [document]) == []
        assert [one async for one in store.find("things", {})] == [document]


async def test_a_document_that_is_accepted_after_some_tries_is_stored(between: Proxy, no_pauses: None) -> None:
    left = 2

    async def fault(request: Message, forward: Forward) -> bytes:
        nonlocal left
        if b"marked" in request.raw and left:
            left -= 1
            raise faults.ResetConnection(b"" if left else await half(forward))
        return await forward()

    async def half(forward: Forward) -> bytes:
        answer = await forward()
        return answer[: len(answer) // 2]

    document = {"_id": 1, "text": "marked"}
    async with opened(between, "pymongo") as store:
        await between.set(fault)
        assert await store.insert("things", [document]) == []
        assert (left, [one async for one in store.find("things", {})]) == (0, [document])


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_sign_of_life_comes_soon_or_not_at_all(between: Proxy, driver: Driver) -> None:
    """A health check must not wait as long as a write may."""
    async with Store.open(between.uri(), driver=driver, timeout=0.5) as store:
        assert "SecantusDB" in await store.server_version()
        await between.set(faults.never_answering_what_is_asked)
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await store.server_version()
        assert time.monotonic() - began < 10
