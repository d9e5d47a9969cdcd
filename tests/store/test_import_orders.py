"""Files of messages that are imported in any order give the same sessions, and the same messages in them."""

from __future__ import annotations

import os
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from collector.archive.importing import Importer
from collector.archive.joining import _StoredFile
from collector.archive.selection import Selection
from collector.bgp import messages as bgp
from collector.bgp.notifications import notification
from collector.bgp.open_messages import Abilities, open_message
from collector.errors import StoreUnavailableError
from collector.query.verify.imported import verify_imports
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from schemas.meta import ImportDocument
from tests.mrt_builder import announcement, message, state_change, withdrawal

T = 1_800_000_000
PEERS = (("192.0.2.1", 64500), ("192.0.2.2", 64501))
SEEDS = int(os.environ.get("IMPORT_ORDERS", "1"))
OPEN = open_message(64500, 90, "192.0.2.9", Abilities(as4=True, families=frozenset()))
COLLECTIONS = ("updates", "messages", "sessions", "gaps", "rejects")


def file(chance: random.Random, begin: int) -> bytes:
    """Five minutes of what two peers say and do, in any order."""
    records = []
    for at in sorted([0, 290, *(chance.randrange(290) for _ in range(14))]):
        address, asn = chance.choice(PEERS)
        route = f"10.{chance.randrange(4)}.0.0/16"
        said = chance.choice(
            (
                *(announcement(route, asn, chance.randrange(9)) for _ in range(3)),
                *(withdrawal(route), bgp.KEEPALIVE, bgp.KEEPALIVE, OPEN),
                *(notification(6, 2, b"\3bye"), notification(6, 7), bgp.message(bgp.UPDATE, b"\xff\xff\0\0")),
                *((5, 6), (6, 1)),
            )
        )
        where: dict[str, Any] = {"address": address, "asn": asn, "time": begin + at}
        records.append(message(said, **where) if isinstance(said, bytes) else state_change(*said, **where))
    return b"".join(records)


async def found(store: Store, collector: str) -> dict[str, list[Any]]:
    """What is stored, with each session in place of its key."""
    every = {name: [one async for one in store.find(name, {"collector": collector})] for name in COLLECTIONS}
    names = {one["_id"]: (one["peer"]["address"], one["since"], one["began"]) for one in every["sessions"]}
    for name, documents in every.items():
        for one in documents:
            one["session"] = names[one["session"]] if "session" in one else None
            for field in ("_id", "collector", "line", "until_line"):
                one.pop(field, None)
        every[name] = sorted(documents, key=repr)
    return every


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_any_order_of_files_gives_the_same(tmp_path: Path, store: Store, seed: int) -> None:
    chance = random.Random(seed)
    begin, paths = T, [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(file(chance, begin))
        begin += chance.choice((300, 300, 3600))
    before = None
    others = chance.sample(list(permutations(paths))[1:], 2)
    for number, order in enumerate((paths, *others)):
        for path in order:
            await Importer(store, source=MRT, collector=f"c{number}", selection=Selection()).take(path)
        now = await found(store, f"c{number}")
        before = before or now
        assert now == before, [path.name for path in order]
    assert (await verify_imports(store)).findings == []


async def test_a_join_that_was_interrupted_goes_on(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each of the files that were imported before."""
    paths = [tmp_path / name for name in "abcd"]
    for number, path in enumerate(paths):
        begin = T + 300 * number
        path.write_bytes(
            message(announcement(f"10.{number}.0.0/16"), time=begin) + message(bgp.KEEPALIVE, time=begin + 290)
        )
    for path in paths:
        await Importer(store, source=MRT, collector="order", selection=Selection()).take(path)
    follow_again = _StoredFile.follow_again
    calls = 0

    async def fail_in_turn(one: _StoredFile, before: ImportDocument) -> tuple[ImportDocument, bool]:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise StoreUnavailableError("the store went away", "start it again")
        return await follow_again(one, before)

    monkeypatch.setattr(_StoredFile, "follow_again", fail_in_turn)
    importer = Importer(store, source=MRT, collector="other", selection=Selection())
    for path in paths[1:]:
        await importer.take(path)
    interrupted = 0
    while True:
        try:
            await importer.take(paths[0])
        except StoreUnavailableError:
            interrupted += 1
        else:
            break
    assert (interrupted, calls) == (2, 5), "each of three files is followed again once"
    assert await found(store, "other") == await found(store, "order")


async def test_a_session_that_begins_in_a_joined_file_goes_on_behind_it(tmp_path: Path, store: Store) -> None:
    """Although the state at the end of that file is the one that it was: the next file has its sessions already."""
    paths = [tmp_path / name for name in "abc"]
    for number, path in enumerate(paths):
        begin = T + 300 * number
        path.write_bytes(
            message(announcement(f"10.{number}.0.0/16"), time=begin)
            + (state_change(6, 1, time=begin + 100) + state_change(5, 6, time=begin + 110)) * (number == 1)
            + message(bgp.KEEPALIVE, time=begin + 290)
        )
    for collector, order in (("order", "abc"), ("other", "bca")):
        for name in order:
            await Importer(store, source=MRT, collector=collector, selection=Selection()).take(tmp_path / name)
    assert await found(store, "other") == await found(store, "order")


async def test_a_wrong_time_does_not_hold_up_a_join(tmp_path: Path, store: Store) -> None:
    """Sixty years are not read minute by minute."""
    paths = [tmp_path / name for name in "ab"]
    route = announcement("10.0.0.0/16")
    paths[0].write_bytes(message(route, time=T) + message(bgp.KEEPALIVE, time=T + 290))
    wrong = message(announcement("10.1.0.0/16"), time=T + 60 * 365 * 86400)
    paths[1].write_bytes(message(route, time=T + 300) + wrong + message(bgp.KEEPALIVE, time=T + 590))
    for collector, order in (("order", paths), ("other", paths[::-1])):
        for path in order:
            await Importer(store, source=MRT, collector=collector, selection=Selection()).take(path)
    assert await found(store, "other") == await found(store, "order")
