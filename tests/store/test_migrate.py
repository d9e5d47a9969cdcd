"""Migrations from every earlier schema to the current one: nothing is lost, and nothing removed comes back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from collector.archive.archiver import Archiver
from collector.errors import StoreError
from collector.query.filters import Choice, Filter
from collector.query.origins import announced
from collector.settings.keeping import RetentionSettings
from collector.sources.bmp.source import BMP
from collector.spool.spool import SpoolReader
from collector.store.collections import SCHEMA_VERSION
from collector.store.driver import Document
from collector.store.migrate import MIGRATIONS, migrate
from collector.store.mongo import Store
from collector.store.traits import Traits
from collector.store.writes import DocumentChange
from schemas.archiver import ArchiverState
from schemas.documents import to_message
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import proxy
from tests.running import BGPLEDGER
from tests.store.test_archive import archive
from tests.store.test_origins import a_day, found
from tests.support import until


class Watching:
    """Remembers what a migration is told to do."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)

    def read(self, done: int, of: int) -> None:
        assert 0 < done <= of

    def building(self, what: str | None) -> None:
        pass


def _without_origins(database: Any) -> None:
    database["updates"].drop_index("origin")
    database["updates"].update_many({}, {"$unset": {"origin_asns": ""}, "$set": {"v": 1}})


def _without_views(database: Any) -> None:
    if "view" in database["updates"].index_information():
        database["updates"].drop_index("view")


def _without_ours(database: Any) -> None:
    for name in ("announced_by_us", "withdrawn_by_us"):
        if name in database["messages"].index_information():
            database["messages"].drop_index(name)
    for name in ("intents", "refusals"):
        database.drop_collection(name)


BACK: Mapping[int, Callable[[Any], None]] = {1: _without_origins, 2: _without_views, 3: _without_ours}
"""What makes of a database of the next schema one of this."""


def make_old(uri: str, database: str, version: int = 1) -> None:
    """Change the database to the form that an earlier bgpledger with this schema wrote."""
    with MongoClient[Document](uri) as client:
        for step in range(SCHEMA_VERSION - 1, version - 1, -1):
            BACK[step](client[database])
        client[database]["meta"].update_one({"_id": "schema"}, {"$set": {"version": version}})


def indexes(uri: str, database: str) -> set[str]:
    with MongoClient[Document](uri) as client:
        return set(client[database]["updates"].index_information())


async def test_a_database_of_before_is_served_and_migrated(
    store: Store, mongodb_uri: str, database: str, data_dir: Path
) -> None:
    day = a_day(4)
    await archive(data_dir, store, *day)
    everything = {one["_id"]: one async for one in store.find("updates", {})}
    asked = Filter(origins=Choice((64511,)))
    said = await found(store, asked)
    make_old(mongodb_uri, database)
    # A collector of this version goes on with it as it is, and questions are answered.
    await store.prepare()
    assert "origin" not in indexes(mongodb_uri, database)
    assert await announced(store, asked) is None
    assert await found(store, asked) == said
    old = {one["_id"]: one async for one in store.find("updates", {})}
    assert all("origin_asns" not in one for one in old.values())
    assert old.keys() == everything.keys()
    assert all(to_message({**one}) == to_message(everything[key]) for key, one in old.items())

    assert sum(done.changed for done in await migrate(store, Watching())) == len(everything)
    assert "origin" in indexes(mongodb_uri, database)
    assert {one["_id"]: one async for one in store.find("updates", {})} == everything
    assert await announced(store, asked) is not None
    assert await found(store, asked) == said


async def test_a_migration_that_was_broken_off_is_taken_up(
    store: Store, mongodb_uri: str, database: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_traits", Traits(batch_lines=10))
    await archive(data_dir, store, *a_day(5, steps=60))
    count = await store.count("updates")
    make_old(mongodb_uri, database)

    class Breaking(Watching):
        def read(self, done: int, of: int) -> None:
            assert 0 < done <= of == count
            if done >= 30:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        await migrate(store, Breaking())
    assert await store.meta.schema() == 1
    assert 0 < sum(done.changed for done in await migrate(store, Watching())) < count
    assert [one["v"] async for one in store.find("updates", {})] == [2] * count


async def test_what_the_database_removed_does_not_come_back(
    store: Store, mongodb_uri: str, database: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TTL index removes UPDATEs between reading and writing them."""
    await archive(data_dir, store, *a_day(5, steps=60))
    count = await store.count("updates")
    make_old(mongodb_uri, database)
    change = store.change

    async def change_late(collection: str, changes: Sequence[DocumentChange]) -> int:
        await store.remove(collection, changes[0].of)
        return await change(collection, changes)

    monkeypatch.setattr(store, "change", change_late)
    await migrate(store, Watching())
    assert await store.count("updates") == count - 1


async def test_updates_whose_sessions_have_expired_are_migrated_too(
    store: Store, mongodb_uri: str, database: str, data_dir: Path
) -> None:
    await archive(data_dir, store, *a_day(5, steps=60))
    make_old(mongodb_uri, database)
    await store.maintain({**RetentionSettings().model_dump(), "sessions_days": 1})
    await store.remove("sessions", {})
    await migrate(store, Watching())
    assert {one["v"] async for one in store.find("updates", {})} == {2}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
async def test_a_database_of_every_schema_becomes_one_of_this(
    store: Store, mongodb_uri: str, database: str, data_dir: Path, version: int
) -> None:
    async def everything() -> dict[str, list[Any]]:
        collections = ("updates", "messages", "sessions", "gaps", "rejects")
        return {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in collections}

    await archive(data_dir, store, *a_day(6, steps=60))
    before, shape = await everything(), indexes(mongodb_uri, database)
    make_old(mongodb_uri, database, version)
    watch = Watching()
    done = await migrate(store, watch)
    assert watch.steps == [one.name for one in done] == [one.name for one in MIGRATIONS if one.version >= version]
    assert await store.meta.schema() == SCHEMA_VERSION
    assert (await everything(), indexes(mongodb_uri, database)) == (before, shape)
    assert await migrate(store, watch) == []


async def test_the_index_over_views_is_built_where_the_server_uses_it(
    store: Store, mongodb_uri: str, database: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_traits", Traits(batch_lines=250))
    await archive(data_dir, store, *a_day(4, steps=60))
    make_old(mongodb_uri, database, 2)
    await store.maintain()
    assert "view" not in indexes(mongodb_uri, database)
    assert not any(done.changed for done in await migrate(store, Watching()))
    assert "view" in indexes(mongodb_uri, database)


async def test_what_routers_tell_waits_until_the_database_tells_routers_apart(
    store: Store,
    mongodb_uri: str,
    database: str,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is written without its index; the archiver continues by itself once the database is migrated."""
    monkeypatch.setattr("collector.archive.archiver.FIRST_PAUSE", 0.01)
    await archive(data_dir, store, *a_day(4, steps=60))
    make_old(mongodb_uri, database, 2)
    told: list[ArchiverState] = []
    reader = SpoolReader(data_dir / "spool-bmp")
    archiver = Archiver(reader, store, source=BMP, collector="test", instance="bmp", tell=told.append)
    running = asyncio.create_task(archiver.run())
    await until(lambda: told[-1].last_error)
    assert "has schema 2, and what routers tell of their peers needs 3" in str(told[-1].last_error)
    assert "cure: upgrade it, which can be done while a collector runs" in caplog.text
    assert "bgpledger db migrate" in caplog.text
    await migrate(store, Watching())
    await until(lambda: not told[-1].last_error)
    archiver.stop()
    await running
    reader.close()


def test_every_schema_has_its_step() -> None:
    """Each begins where the previous one ended, and the last one results in the current schema."""
    versions = [migration.version for migration in MIGRATIONS]
    assert versions == list(range(1, SCHEMA_VERSION))
    assert [migration.to for migration in MIGRATIONS] == [*versions[1:], SCHEMA_VERSION]


async def test_ctrl_c_breaks_it_off(store: Store, mongodb_uri: str, database: str, data_dir: Path) -> None:
    await archive(data_dir, store, *a_day(4, steps=60))
    make_old(mongodb_uri, database)
    async with proxy(urlsplit(mongodb_uri).port or 0) as between:
        await between.set(faults.never_answering_writes)
        migrating = await asyncio.create_subprocess_exec(
            *(BGPLEDGER, "db", "migrate"),
            stderr=asyncio.subprocess.PIPE,
            env={"BGPLEDGER_MONGODB_DATABASE": database, "BGPLEDGER_MONGODB_URI": between.uri()},
        )
        assert migrating.stderr
        assert b"UPDATEs get their origins" in await migrating.stderr.readline()
        await until(lambda: between.spoilt, what="it writes")
        migrating.send_signal(signal.SIGINT)
        said = (await migrating.stderr.read()).decode()
        assert await migrating.wait() == 130, said
    assert "continues from there" in said
    assert "Traceback" not in said
    await migrate(store, Watching())
    assert await store.meta.schema() == SCHEMA_VERSION


async def test_a_database_of_later_is_left_alone(store: Store, mongodb_uri: str, database: str) -> None:
    with MongoClient[Document](mongodb_uri) as client:
        client[database]["meta"].update_one({"_id": "schema"}, {"$set": {"version": SCHEMA_VERSION + 1}})
    for use in (store.prepare(), migrate(store, Watching()), found(store, Filter(origins=Choice((64511,))))):
        with pytest.raises(StoreError, match=f"has schema {SCHEMA_VERSION + 1}, but .* only knows {SCHEMA_VERSION}"):
            await use
    assert await found(store, Filter()) == []
