"""The HTTP application over an archive of some days, asked without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bgpledger import Archive
from collector.http.app import make_app
from collector.settings import load
from collector.store.mongo import Store
from tests.store.test_asking import archive, some_day


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
async def store(mongodb_uri: str, database: str, data_dir: Path) -> AsyncIterator[Store]:
    async with Store.open(mongodb_uri, database=database) as opened:
        await opened.prepare()
        for seed in range(2):
            await archive(data_dir, opened, some_day(seed), f"collector{seed}")
        yield opened


@pytest.fixture
def asked(store: Store, data_dir: Path) -> Archive:
    return Archive(store, data_dir)


@pytest.fixture
async def http(asked: Archive, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(asked, load(None, environ={}, data_dir=data_dir))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as client:
        yield client
