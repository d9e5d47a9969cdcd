"""`bgpledger import`, killed: the same command then gives the archive of an import that was not."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector.archive.selection import Selection
from collector.cli.import_files import _import
from collector.query.verify.imported import verify_imports
from collector.settings.model import Settings
from collector.sources.files import ImportFiles
from collector.store.mongo import Store
from tests.faults.mongo_proxy import Fault, Forward, Message, proxy
from tests.mrt_builder import announcement, message, state_change
from tests.running import BGPLEDGER
from tests.store.test_import_orders import found

T = 1_800_000_000
HOUR = 3600
KILLS = int(os.environ.get("FAULTS_KILLS") or "1")
SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
COLLECTIONS = ("updates", "messages", "sessions", "gaps", "rejects", "snapshots", "snapshot_parts")


def hours(peer: int, begin: int) -> bytes:
    """Three hours of UPDATEs of one session."""
    address = f"192.0.2.{peer}"
    return state_change(5, 6, time=begin, address=address) + b"".join(
        message(announcement(f"10.{peer}.{at % 250}.0/24", 64500, at), address=address, time=begin + at * 18)
        for at in range(3 * HOUR // 18)
    )


def stopping(at: int, reached: asyncio.Event) -> Fault:
    """The writes of stored tables are answered up to some number of them, and then no more."""
    count = 0

    async def fault(request: Message, forward: Forward) -> bytes:
        nonlocal count
        command = request.command
        if command in ("insert", "update", "delete") and request.body[command] in ("snapshots", "snapshot_parts"):
            count += 1
            if count >= at:
                reached.set()
                await asyncio.Event().wait()
        return await forward()

    return fault


async def test_killed_while_tables_are_stored(tmp_path: Path, mongodb_uri: str, database: str) -> None:
    # The first file's session has ended when the second begins: it has tables only from this import.
    paths = [tmp_path / "one", tmp_path / "two"]
    paths[0].write_bytes(hours(1, T))
    paths[1].write_bytes(hours(2, T + 6 * HOUR))
    names = list(map(str, paths))
    environment = {"BGPLEDGER_DATA_DIR": str(tmp_path), "BGPLEDGER_RIB_SNAPSHOT_HOURS": "1"}
    reached = asyncio.Event()
    async with proxy(urlsplit(mongodb_uri).port or 0) as between:
        await between.set(stopping(4, reached))
        more = {"BGPLEDGER_MONGODB_URI": between.uri(), "BGPLEDGER_MONGODB_DATABASE": database}
        importing = await asyncio.create_subprocess_exec(
            *(BGPLEDGER, "import", *names, "--collector", "rrc"), env={**environment, **more}
        )
        await asyncio.wait_for(reached.wait(), 120)
        importing.kill()
        await importing.wait()
    archives = {}
    for name in (database, f"{database}_whole"):
        settings = Settings.model_validate(
            {"data_dir": tmp_path, "mongodb": {"uri": mongodb_uri, "database": name}, "rib": {"snapshot_hours": 1}}
        )
        with ImportFiles(names) as files:
            await _import(settings, files, "rrc", Selection())
        async with Store.open(mongodb_uri, database=name) as store:
            archives[name] = await everything(store)
    whole = archives[f"{database}_whole"]
    assert len(whole["snapshots"]) == 4
    assert archives[database] == whole

    # Tables that have been removed since (`rib.snapshot_days`) are not stored again.
    async with Store.open(mongodb_uri, database=name) as store:
        for removed in ("snapshots", "snapshot_parts"):
            await store.remove(removed, {})
        with ImportFiles(names) as files:
            await _import(settings, files, "rrc", Selection())
        assert (await everything(store))["snapshots"] == []


def five_minutes(number: int) -> bytes:
    """Five minutes of two peers, the first of which ends its session and begins another."""
    begin, peers = T + 300 * number, ("192.0.2.1", "192.0.2.2")
    records = [
        message(announcement(f"10.{at % 4}.{number}.0/24", 64500, at + 1), time=begin + at, address=peers[at % 2])
        for at in range(0, 290, 3)
    ]
    ends = [
        state_change(6, 1, time=begin + 100, address=peers[0]),
        state_change(5, 6, time=begin + 102, address=peers[0]),
    ]
    return b"".join((*records[:34], *ends, *records[34:]))


def counting(writes: list[str], stops: int, reached: asyncio.Event) -> Fault:
    """Writes are noted; one of them, by its number, and all behind it are not answered."""

    async def fault(request: Message, forward: Forward) -> bytes:
        if request.is_write:
            writes.append(request.command or "")
            if len(writes) >= stops:
                reached.set()
                await asyncio.Event().wait()
        return await forward()

    return fault


class Imports:
    """Three files of one collector, of which the first is imported last: the sessions of all others change.

    Args:
        folder: where the files are, and the lock of each import.
        uri: the server.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        self.paths = [folder / name for name in "abc"]
        for number, path in enumerate(self.paths):
            path.write_bytes(five_minutes(number))

    async def start(self, uri: str, database: str, *paths: Path) -> asyncio.subprocess.Process:
        environment = {
            "BGPLEDGER_DATA_DIR": str(self.folder),
            "BGPLEDGER_MONGODB_URI": uri,
            "BGPLEDGER_MONGODB_DATABASE": database,
        }
        command = (BGPLEDGER, "import", *map(str, paths), "--collector", "rrc")
        return await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)

    async def take(self, database: str, *paths: Path, uri: str = "") -> None:
        """Import files, each in an import of its own."""
        values = {"data_dir": self.folder, "mongodb": {"uri": uri or self.uri, "database": database}}
        for path in paths:
            with ImportFiles([str(path)]) as files:
                await _import(Settings.model_validate(values), files, "rrc", Selection())

    async def found(self, database: str) -> dict[str, list[Any]]:
        async with Store.open(self.uri, database=database) as store:
            assert (await verify_imports(store)).findings == []
            return await found(store, "rrc")


async def test_killed_at_any_write_while_sessions_are_joined(tmp_path: Path, mongodb_uri: str, database: str) -> None:
    imports = Imports(tmp_path, mongodb_uri)
    first, *later = imports.paths
    async with proxy(urlsplit(mongodb_uri).port or 0) as between:
        whole = f"{database}_whole"
        await imports.take(whole, *later[::-1])
        writes: list[str] = []
        await between.set(counting(writes, 10**6, asyncio.Event()))
        await imports.take(whole, first, uri=between.uri())
        expected = await imports.found(whole)
        chance = random.Random(SEED)
        for number, at in enumerate(sorted(chance.sample(range(1, len(writes)), min(KILLS, len(writes) - 1)))):
            name = f"{database}_{number}"
            await imports.take(name, *later[::-1])
            reached = asyncio.Event()
            await between.set(counting([], at, reached))
            importing = await imports.start(between.uri(), name, first)
            await asyncio.wait_for(reached.wait(), 120)
            importing.kill()
            await importing.communicate()
            await imports.take(name, first)
            assert await imports.found(name) == expected, f"killed at write {at} of {len(writes)}"


async def test_two_at_once(tmp_path: Path, mongodb_uri: str, database: str) -> None:
    """One stands still within a file; meanwhile another begins with the same file, and a third with the next one."""
    imports = Imports(tmp_path, mongodb_uri)
    first, second, *later = imports.paths
    whole = f"{database}_whole"
    await imports.take(whole, *later, first, second)
    expected = await imports.found(whole)
    await imports.take(database, *later)
    async with proxy(urlsplit(mongodb_uri).port or 0) as between:
        reached, released = asyncio.Event(), asyncio.Event()
        await between.set(holding(2, reached, released))
        held = await imports.start(between.uri(), database, first)
        await asyncio.wait_for(reached.wait(), 120)
        others = [await imports.start(mongodb_uri, database, path) for path in (first, second)]
        for other in others:
            assert other.stderr
            assert b"another import as rrc runs" in await asyncio.wait_for(other.stderr.readline(), 120)
        released.set()
        for one in (held, *others):
            await asyncio.wait_for(one.communicate(), 120)
    assert await imports.found(database) == expected


def holding(at: int, reached: asyncio.Event, released: asyncio.Event) -> Fault:
    """The writes of UPDATEs wait from one of them on, until they are released."""
    count = 0

    async def fault(request: Message, forward: Forward) -> bytes:
        nonlocal count
        count += request.command == "insert"
        if count >= at:
            reached.set()
            await released.wait()
        return await forward()

    return fault


async def everything(store: Store) -> dict[str, list[Any]]:
    """All documents, except when a table was written."""
    found = {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}
    for one in found["snapshots"]:
        del one["written"]
    return found
