"""What the store makes of each way in which a server can refuse a batch, with either driver."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.errors import StoreError, StoreUnavailableError
from collector.store.driver import Driver
from collector.store.mongo import Store
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import Proxy, proxy

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


@pytest.fixture
async def between(embedded_uri: str) -> AsyncIterator[Proxy]:
    async with proxy(urlsplit(embedded_uri).port or 0) as one:
        yield one


def opened(between: Proxy, driver: Driver) -> Store:
    uri = between.uri(socketTimeoutMS=300, serverMonitoringMode="poll")
    return Store.open(uri, database=f"refusals_{os.getpid()}_{time.monotonic_ns()}", driver=driver, timeout=5)


@pytest.mark.parametrize(("driver", "kind"), [*product(["pymongo"], PASSING), *product(["motor"], OF_MOTOR)])
async def test_what_may_pass_is_no_refusal_of_a_document(between: Proxy, driver: Driver, kind: str) -> None:
    """It is an error that the archiver waits out: all of the batch comes again, and nothing of it becomes a reject."""
    async with opened(between, driver) as store:
        await between.set(PASSING[kind])
        with pytest.raises(StoreError):
            await store.insert("things", DOCUMENTS)
        with pytest.raises(StoreError):
            await store.replace("others", DOCUMENTS)
        with pytest.raises(StoreError):
            await store.prepare()
        await between.set(faults.passing)
        assert await store.insert("things", DOCUMENTS) == []
        await store.replace("others", DOCUMENTS)
        assert [one async for one in store.find("things", {}, sort=[("_id", 1)])] == DOCUMENTS
        assert [one async for one in store.find("others", {}, sort=[("_id", 1)])] == DOCUMENTS


@pytest.mark.parametrize("code", [2, 57, 121, 10334])
async def test_what_is_a_documents_own_fault_is_its_alone(between: Proxy, code: int) -> None:
    async with opened(between, "pymongo") as store:
        await between.set(faults.refusing_one(1, code, "it is the document's fault"))
        (refusal,) = await store.insert("things", DOCUMENTS)
        assert (refusal.at, f"(code {code})" in refusal.reason) == (1, True)


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
