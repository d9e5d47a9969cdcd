"""The HTTP application over an archive of some days, asked without a socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from pymongo import MongoClient
from websockets.asyncio import client as websockets

from bgpledger import Archive
from collector.http.app import make_app
from collector.settings.load import load
from collector.settings.model import Settings
from collector.store.driver import Document
from collector.store.mongo import Store
from tests.running import BGPLEDGER, free_port
from tests.store.test_asking import T0, archive, some_day

PATIENCE = 120.0
"""Seconds that a server on a busy machine may take to answer."""
connect = partial(websockets.connect, open_timeout=PATIENCE, close_timeout=PATIENCE, ping_interval=None)
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
"""When the days of `filled` began, which are short."""
END = BEGIN + timedelta(minutes=1)


def lately(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Lines of ExaBGP dated from BEGIN on: the future cannot be queried."""
    for line in lines:
        said = json.loads(line)
        said["time"] += (BEGIN - T0).total_seconds()
        yield json.dumps(said).encode()


class Filled(NamedTuple):
    """An archive, and where it is."""

    uri: str
    database: str
    data_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BGPLEDGER_MONGODB_URI": self.uri,
            "BGPLEDGER_MONGODB_DATABASE": self.database,
            "BGPLEDGER_DATA_DIR": str(self.data_dir),
        }

    @property
    def settings(self) -> Settings:
        return load(None, environ=self.environment)


@pytest.fixture(scope="package")
def filled(embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Two days of three routers, as received by two collectors; the tests only read."""
    one = Filled(embedded_uri, f"test_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("http"))

    async def fill() -> None:
        async with Store.open(one.uri, database=one.database) as store:
            await store.prepare()
            for seed in range(2):
                await archive(one.data_dir, store, list(lately(some_day(seed))), f"collector{seed}")

    asyncio.run(fill())
    yield one
    with MongoClient[Document](embedded_uri) as client:
        client.drop_database(one.database)


@pytest.fixture(scope="package")
def served(filled: Filled) -> Iterator[str]:
    """`bgpledger serve` over it: where it answers."""
    listen = f"127.0.0.1:{free_port()}"
    with serving(listen, filled.environment):
        yield f"http://{listen}"


@contextmanager
def serving(listen: str, settings: Mapping[str, str], *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `bgpledger serve` until the block ends; it must end without an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
    environment.update(settings)
    command = [BGPLEDGER, "serve", "--listen", listen, *more]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            while b"answering at" not in (line := server.stderr.readline()):
                assert line, "it ended"
            yield server
        finally:
            server.terminate()
            assert server.wait(PATIENCE) == 0


@pytest.fixture
async def asked(filled: Filled) -> AsyncIterator[Archive]:
    async with Archive.found(filled.settings) as archive:
        yield archive


@pytest.fixture
async def http(asked: Archive, filled: Filled) -> AsyncIterator[httpx.AsyncClient]:
    async with client(asked, filled.settings) as one:
        yield one


def client(archive: Archive, settings: Settings) -> httpx.AsyncClient:
    """Asks the application over an archive."""
    transport = httpx.ASGITransport(make_app(archive, settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480")
