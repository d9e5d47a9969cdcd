"""Real servers for all tests: the embedded store as a process of its own, MongoDB where MONGODB_URI names one."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pymongo import MongoClient

from collector.store import embedded
from collector.store.mongo import Store

# How long a thing takes is never asserted: the machine may be loaded.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SERVERS = ["embedded", "mongodb"]


@pytest.fixture(scope="session")
def embedded_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One embedded server for the whole run; tests use databases of their own on it."""
    server = asyncio.run(embedded.start(tmp_path_factory.mktemp("embedded")))
    yield server.uri
    asyncio.run(server.stop())


@pytest.fixture(params=SERVERS)
def mongodb_uri(request: pytest.FixtureRequest) -> str:
    """A server that speaks MongoDB's protocol; a real MongoDB only where MONGODB_URI is set."""
    if request.param == "embedded":
        return str(request.getfixturevalue("embedded_uri"))
    uri = os.environ.get("MONGODB_URI")
    if not uri:
        pytest.skip("MONGODB_URI names no MongoDB to test against")
    return uri


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[str]:
    """The name of an empty database, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture(params=["pymongo", "motor"])
async def store(request: pytest.FixtureRequest, mongodb_uri: str, database: str) -> AsyncIterator[Store]:
    """An empty store with its collections, over each driver."""
    async with Store.open(mongodb_uri, database=database, driver=request.param) as opened:
        await opened.prepare()
        yield opened


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"
