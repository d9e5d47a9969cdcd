"""MRT files that have grown since they were imported, or grow meanwhile: each record is stored once."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.errors import ImportFileError
from collector.query.verify.imported import verify_imports
from collector.sources.mrt.source import MRT
from collector.sources.pcap.records import Capture
from collector.sources.pcap.source import PCAP
from collector.store.mongo import Store
from tests import capture_builder as build
from tests.mrt_builder import announcement, message, state_change
from tests.unit.test_captures import established

T = 1_800_000_000
COLLECTIONS = ("updates", "messages", "sessions", "gaps", "rejects")
RECORDS = [state_change(5, 6, time=T)] + [
    message(announcement(f"10.{at}.0.0/16", 64500, at), time=T + at) for at in range(250)
]
FILE = b"".join(RECORDS)


def importer(store: Store, selection: Selection | None = None) -> Importer:
    return Importer(store, source=MRT, collector="rrc", selection=selection or Selection())


async def everything(store: Store) -> dict[str, list[Any]]:
    return {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}


@pytest.fixture
async def whole(store: Store, tmp_path: Path) -> dict[str, list[Any]]:
    """What the archive has after an import of the whole file; it is empty again."""
    (tmp_path / "whole").write_bytes(FILE)
    await importer(store).take(tmp_path / "whole")
    found = await everything(store)
    for name in COLLECTIONS:
        await store.remove(name, {})
    await store.remove("meta", {"_id": {"$regex": "^import"}})
    return found


async def is_whole(store: Store, whole: dict[str, list[Any]]) -> None:
    assert await everything(store) == whole
    assert (await verify_imports(store)).findings == []


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_file_that_has_grown_continues(
    tmp_path: Path, store: Store, whole: dict[str, list[Any]], packed: bool
) -> None:
    path = tmp_path / "updates"
    data = gzip.compress(FILE, mtime=0) if packed else FILE
    sizes = [len(data) // 3, len(data) // 2, len(data) - 1, len(data)]
    records = 0
    for size in sizes:
        path.write_bytes(data[:size])
        told = await importer(store).take(path)
        assert told.grown == (size != sizes[0])
        records += told.records
    assert records == len(RECORDS)
    await is_whole(store, whole)
    for size in sizes:
        path.write_bytes(data[:size])
        assert (await importer(store).take(path)).was_imported
    await is_whole(store, whole)


async def test_a_file_that_grows_while_it_is_imported(
    tmp_path: Path, store: Store, whole: dict[str, list[Any]]
) -> None:
    path, middle = tmp_path / "updates", len(FILE) // 2  # within a record
    path.write_bytes(FILE[:1000])

    def grow(_read: int) -> None:
        if path.stat().st_size < middle:
            path.write_bytes(FILE[:middle])

    assert (await importer(store).take(path, grow)).fault
    path.write_bytes(FILE)
    assert (await importer(store).take(path)).grown
    await is_whole(store, whole)


async def test_a_file_with_another_beginning_is_another_file(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(FILE[:-200])
    await importer(store).take(path)
    path.write_bytes(RECORDS[0] + FILE)
    told = await importer(store).take(path)
    assert (told.grown, told.records) == (False, len(RECORDS) + 1)


async def test_a_file_grows_under_its_own_selection_only(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(FILE[:-200])
    await importer(store).take(path)
    before = await everything(store)
    path.write_bytes(FILE)
    with pytest.raises(ImportFileError, match="with other --start"):
        await importer(store, Selection(peers=frozenset({"192.0.2.1"}))).take(path)
    assert await everything(store) == before
    assert (await importer(store).take(path)).grown


async def test_a_capture_that_has_grown_is_refused(tmp_path: Path, store: Store) -> None:
    talk = established(build.Talk())
    talk.say(announcement("10.0.0.0/8", 64500), announcement("10.1.0.0/16", 64500))
    path = tmp_path / "capture"
    for size in (-1, None):
        path.write_bytes(build.pcap(talk.frames[:size], build.ETHERNET))
        capture = Capture(path)
        taking = Importer(store, source=PCAP, collector="here", selection=Selection(), open_file=capture.open)
        if size:
            assert (await taking.take(path)).records
            before = await everything(store)
        else:
            with pytest.raises(ImportFileError, match="a capture that has grown"):
                await taking.take(path)
    assert await everything(store) == before
