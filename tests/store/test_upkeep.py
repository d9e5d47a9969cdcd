"""Long maintenance runs while lines are archived, and is reported."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.archive.maintenance import Upkeep
from collector.archive.outage import Announcer, state_file
from collector.errors import StoreError
from collector.instances import Instance
from collector.settings.keeping import RetentionSettings
from collector.store.mongo import Store
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import Forward, Message, proxy
from tests.running import bgpledger
from tests.store.test_archive import archive
from tests.support import Router, until

DAYS = {**RetentionSettings().model_dump(), "updates_days": 30}


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


async def test_lines_are_stored_while_an_index_is_built(
    embedded_uri: str,
    database: str,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It takes far longer than any other answer may, and `status` shows its progress."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("collector.store.preparing.PROGRESS_SECONDS", 0.02)
    done = asyncio.Event()

    async def building(request: Message, forward: Forward) -> bytes:
        if request.command == "aggregate":
            operation = {"progress": {"done": 43, "total": 100}}
            return request.answer({"ok": 1.0, "cursor": {"id": 0, "ns": "admin.x", "firstBatch": [operation]}})
        if request.command == "createIndexes":
            await done.wait()
        return await forward()

    async with (
        proxy(urlsplit(embedded_uri).port or 0) as between,
        Store.open(between.uri(socketTimeoutMS=300), database=database) as store,
    ):
        await store.prepare()
        await between.set(building)
        told: list[str | None] = []

        announcer = Announcer(state_file(Instance(data_dir)))

        def tell(what: str | None) -> None:
            told.append(what)
            announcer.build(what)

        data_dir.mkdir()
        upkeep = asyncio.create_task(Upkeep(store, DAYS, tell).run())
        await until(lambda: "index expire_keepalives of messages, since " in str(told))
        note = await archive(data_dir / "spool", store, *Router().up())
        assert note["stored"] == 4
        await until(lambda: between.commands["aggregate"] > 25, what="it takes longer than answers may")
        typed = ("--data-dir", str(data_dir), "--mongodb-uri", embedded_uri, "status", "--format", "json")
        assert ": 43%" in json.loads((await asyncio.to_thread(bgpledger, *typed)).stdout)["building"]
        assert await store.lifetimes() == {}
        done.set()
        await upkeep
        assert told[-1] is None
        assert await store.lifetimes() == {"keepalives_days": 7 * 86_400, "updates_days": 30 * 86_400}
    said = [record.getMessage().split()[:2] for record in caplog.records if "buil" in record.getMessage()]
    assert said[:2] == [["building", "index"], ["built", "after"]]  # the second index may take a moment as well


async def test_what_is_done_without_is_said_once(
    embedded_uri: str, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        proxy(urlsplit(embedded_uri).port or 0) as between,
        Store.open(between.uri(), database=database) as store,
    ):
        await store.prepare()
        await store.maintain(DAYS)
        await between.set(faults.refusing_commands({"collMod"}, 13, "Unauthorized"))
        await Upkeep(store, {**DAYS, "updates_days": 60}, lambda _what: None).run()
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "retention.updates_days stays as it was, not 60 days" in record.getMessage()
    assert 'role: "dbAdmin"' in record.getMessage()


async def test_it_is_tried_again_until_it_is_done(
    embedded_uri: str, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("collector.archive.maintenance._FIRST_PAUSE", 0.01)
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        maintain, attempts = store.maintain, 0

        async def failing(*arguments: Any) -> Any:
            nonlocal attempts
            attempts += 1
            if attempts < 4:
                raise StoreError("an index is in the way", "drop it")
            return await maintain(*arguments)

        monkeypatch.setattr(store, "maintain", failing)
        await Upkeep(store, DAYS, lambda _what: None).run()
        assert await store.lifetimes() != {}
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        "the database could not be prepared: an index is in the way; cure: drop it"
    ]
