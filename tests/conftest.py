"""Real servers for all tests: the embedded store as a process of its own, and all that MONGODB_URI names."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from pymongo import MongoClient

from collector.store import embedded
from collector.store.driver import Document, Driver
from collector.store.mongo import Store
from tests import stores
from tests.logs import last_words

# How long a thing takes is never asserted: the machine may be loaded. Each run makes up other examples.
settings.register_profile("patient", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=2000)  # `make fuzz`
settings.load_profile("patient")

NAMED = os.environ.get("MONGODB_URI", "").split()
"""Servers that the tests of the store run against beside the embedded one."""


@cache
def server_name(uri: str) -> str:
    """What a server says that it is, and where."""
    with MongoClient[Document](uri, serverSelectionTimeoutMS=5000) as client:
        said = client.server_info()
        host, port = next(iter(client.nodes))
    own = said.get("secantusVersion")
    return f"{f'SecantusDB-{own}' if own else 'MongoDB-' + said['version']}@{host}:{port}"


def pytest_runtest_setup() -> None:
    """Let Ctrl-C reach what a test starts: a background job ignores it, and so does this process after `receive`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return [f"MONGODB_URI: {server_name(uri)}" for uri in NAMED] or ["MONGODB_URI: not set, the embedded store alone"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test wrote."""
    report = yield
    if report.failed:
        used = getattr(item, "funcargs", {}).values()
        for directory in {value for value in used if isinstance(value, Path) and value.is_dir()}:
            report.sections += last_words(directory)
    return report


@pytest.fixture(scope="session")
def embedded_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One embedded server for the whole run; tests use databases of their own on it."""
    data_dir = tmp_path_factory.mktemp("embedded")
    stores.put_store(data_dir)
    server = asyncio.run(embedded.start(data_dir))
    yield server.uri
    asyncio.run(server.stop())


@pytest.fixture(params=["embedded", *NAMED], ids=["embedded", *map(server_name, NAMED)])
def mongodb_uri(request: pytest.FixtureRequest) -> str:
    """A server that speaks MongoDB's protocol: the embedded one, and each that MONGODB_URI names."""
    if request.param == "embedded":
        return str(request.getfixturevalue("embedded_uri"))
    return str(request.param)


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[str]:
    """The name of an empty database, dropped afterwards where the server stays."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    if mongodb_uri in NAMED:
        with MongoClient[Document](mongodb_uri) as client:
            client.drop_database(name)


OVER_EACH_DRIVER = {"test_in_flight", "test_reading", "test_store"}
"""The files of tests that take all ways through the seam between the drivers; the others would take them again."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "driver_of_store" in metafunc.fixturenames:
        each = metafunc.module.__name__.rpartition(".")[2] in OVER_EACH_DRIVER
        metafunc.parametrize("driver_of_store", ["pymongo", "motor"] if each else ["pymongo"])


@pytest.fixture
async def store(driver_of_store: Driver, mongodb_uri: str, database: str) -> AsyncIterator[Store]:
    """An empty store with its collections."""
    async with Store.open(mongodb_uri, database=database, driver=driver_of_store) as opened:
        await opened.prepare()
        yield opened


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither we nor the driver wait before they try a connection again that was closed: tests close many."""
    monkeypatch.setattr("collector.store.writes.CLOSING_PAUSES", (0.0, 0.0))
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.02)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"
