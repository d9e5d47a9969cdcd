"""`bgpledger import`, killed: the same command then gives the archive of an import that was not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector.archive.selection import Selection
from collector.cli.import_files import _import
from collector.settings.model import Settings
from collector.sources.files import ImportFiles
from collector.store.mongo import Store
from tests.faults.mongo_proxy import Fault, Forward, Message, proxy
from tests.mrt_builder import announcement, message, state_change
from tests.running import BGPLEDGER

T = 1_800_000_000
HOUR = 3600
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
    found = {}
    for name in (database, f"{database}_whole"):
        settings = Settings.model_validate(
            {"data_dir": tmp_path, "mongodb": {"uri": mongodb_uri, "database": name}, "rib": {"snapshot_hours": 1}}
        )
        with ImportFiles(names) as files:
            await _import(settings, files, "rrc", Selection())
        async with Store.open(mongodb_uri, database=name) as store:
            found[name] = await everything(store)
    whole = found[f"{database}_whole"]
    assert len(whole["snapshots"]) == 4
    assert found[database] == whole

    # Tables that have been removed since (`rib.snapshot_days`) are not stored again.
    async with Store.open(mongodb_uri, database=name) as store:
        for removed in ("snapshots", "snapshot_parts"):
            await store.remove(removed, {})
        with ImportFiles(names) as files:
            await _import(settings, files, "rrc", Selection())
        assert (await everything(store))["snapshots"] == []


async def everything(store: Store) -> dict[str, list[Any]]:
    """All documents, except when a table was written."""
    found = {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}
    for one in found["snapshots"]:
        del one["written"]
    return found
