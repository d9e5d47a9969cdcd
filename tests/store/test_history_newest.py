"""`history` with a limit or a begin reads little, and gives what it would if it had read everything."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient

from bgpledger import Archive
from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.dumps.importer import DumpImporter
from collector.query import history_rows, prefix_windows
from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.history_newest import history_newest
from collector.sources.mrt.source import MRT
from collector.store.driver import Document
from collector.store.mongo import Store
from collector.store.traits import MONGODB, SECANTUSDB, Traits
from schemas.intent_documents import intent_document
from schemas.query import HistoryEntry
from tests.mrt_builder import announcement, attributes, entry, index, message, rib, state_change, withdrawal
from tests.store.test_asking import PREFIX, PREFIXES, T0, archive, examples, some_day
from tests.store.test_with_ours import INTENT
from tests.support import Router

SEEDS = range(int(os.environ.get("HISTORIES") or 1))
"""Random archives; `make fuzz` has twenty."""
FEW = itertools.cycle((0, 200))
"""For servers of which few UPDATEs are read at once, every other question is asked as if these were many."""
Events = Sequence[HistoryEntry]


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture(autouse=True)
def read_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a large archive: many windows, of few UPDATEs each."""
    for name in ("history_newest", "history_rows", "routes_before"):
        monkeypatch.setattr(f"collector.query.{name}.FIRST_WINDOW", timedelta(milliseconds=700))
    monkeypatch.setattr("collector.query.prefix_windows.MOST", 9)
    monkeypatch.setattr("collector.query.prefix_windows._WANTED", 5)
    monkeypatch.setattr("collector.query.prefix_windows._MUCH_WIDER", 6)


async def whole(store: Store, prefix: str, *, with_ours: bool = False) -> list[HistoryEntry]:
    """Read in the plainest way: all UPDATEs of each peer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(prefix_windows, "FEW", 0)
        patched.setattr(history_rows, "_MANY_PEERS", 0)
        return [one async for one in history(store, HistoryQuery(prefix, with_ours=with_ours))]


async def check(store: Store, prefix: str, filters: Filter, every: Events, *, with_ours: bool = False) -> None:
    """Ask with filters, with and without limits: the answer is a part of the whole history."""
    wanted = [entry for entry in every if filters.matches(entry)]
    question = HistoryQuery(prefix, filters, with_ours)
    for limit in (None, 4, 10**30):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(prefix_windows, "FEW", next(FEW))
            read = history_newest(store, question, limit) if limit else history(store, question)
            found = [one async for one in read]
        assert found == wanted[-(limit or 0) :], (question, limit)


@pytest.mark.parametrize("seed", SEEDS)
async def test_days_of_sessions_gaps_and_orders(store: Store, tmp_path: Path, seed: int) -> None:
    for number in range(2):
        await archive(tmp_path, store, some_day(2 * seed + number), f"collector{number}")
    shift = T0 + timedelta(seconds=9) - INTENT.created
    states = tuple(state.model_copy(update={"ts": state.ts + shift}) for state in INTENT.states)
    order = INTENT.model_copy(update={"created": INTENT.created + shift, "states": states})
    await store.replace("intents", [intent_document(order)])
    for prefix in (PREFIX, PREFIXES[3]):
        every = await whole(store, prefix, with_ours=True)
        for filters in [Filter(), *examples(4)]:
            await check(store, prefix, filters, every, with_ours=True)
    assert seed or {one.event for one in every} >= {"announce", "withdraw", "session_end", "gap"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("traits", [SECANTUSDB, MONGODB], ids=["secantusdb", "mongodb"])
async def test_several_routes_of_a_session(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, traits: Traits
) -> None:
    """With path IDs (RFC 7911) in some sessions; peers are queried one by one, or all at once."""
    await archive(tmp_path, store, _with_path_ids(seed))

    async def traits_of(_store: Store) -> Traits:
        return traits

    monkeypatch.setattr(Store, "traits", traits_of)
    every = await whole(store, PREFIX)
    assert seed or len({one.path_id for one in every if one.event == "session_end"}) > 2
    for filters in _spans(every, seed):
        await check(store, PREFIX, filters, every)


async def test_a_peer_of_which_no_session_is_stored(
    store: Store, mongodb_uri: str, database: str, tmp_path: Path
) -> None:
    """It has just come up, or its sessions have been removed."""
    await archive(tmp_path, store, some_day(1))
    heard = {one.peer.address for one in await whole(store, PREFIX) if one.event == "announce"}
    assert len(heard) > 1
    for address in sorted(heard):
        with MongoClient[Document](mongodb_uri) as client:
            client[database]["sessions"].delete_many({"peer.address": address})
        every = await whole(store, PREFIX)
        assert address in {one.peer.address for one in every}
        await check(store, PREFIX, Filter(), every)


@pytest.mark.parametrize("traits", [SECANTUSDB, MONGODB], ids=["secantusdb", "mongodb"])
async def test_many_peers_of_which_few_are_wanted_and_one_has_no_session(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traits: Traits
) -> None:
    async def traits_of(_store: Store) -> Traits:
        return traits

    monkeypatch.setattr(Store, "traits", traits_of)
    monkeypatch.setattr(history_rows, "_FEW_PEERS", 1)
    await archive(tmp_path, store, some_day(1))
    await store.remove("sessions", {"peer.address": "192.0.2.1"})
    every = await whole(store, PREFIX)
    for asn in (64500, 64501):
        await check(store, PREFIX, Filter(peer_asns=Choice((asn,))), every)
    assert {"192.0.2.1", "192.0.2.2"} <= {one.peer.address for one in every if one.peer.asn == 64500}


@pytest.mark.parametrize("seed", SEEDS)
async def test_files_and_their_dumps(store: Store, tmp_path: Path, seed: int) -> None:
    """Peers without OPENs; tables between UPDATEs, in which some routes stand."""
    for number, data in enumerate(_files(seed)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        kind = Importer if number % 2 == 0 else DumpImporter
        await kind(store, source=MRT, collector="rrc", selection=Selection()).take(path)
    every = await whole(store, "10.1.0.0/16")
    assert seed or {one.event for one in every} >= {"announce", "withdraw", "session_end", "table"}
    for filters in _spans(every, seed):
        await check(store, "10.1.0.0/16", filters, every)


async def test_pages_after_cursors(store: Store, tmp_path: Path, data_dir: Path) -> None:
    await archive(tmp_path, store, _with_path_ids(3))
    opened, every = Archive(store, data_dir), await whole(store, PREFIX)
    paged: list[HistoryEntry] = []
    cursor = None
    while len(paged) < len(every):
        async with opened.history(PREFIX, after=cursor) as answers:
            page = [await anext(answers) for _ in range(min(17, len(every) - len(paged)))]
            cursor = answers.cursor
        assert page == every[len(paged) : len(paged) + len(page)]
        paged += page
        after_it = [one async for one in opened.history(PREFIX, after=cursor, limit=5)]
        assert after_it == every[len(paged) :][-5:]


async def test_with_many_peers_one_by_one_all_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_rows, "_MANY_PEERS", 2)
    await archive(tmp_path, store, some_day(1))
    await check(store, PREFIX, Filter(), await whole(store, PREFIX))


def _spans(every: Events, seed: int) -> list[Filter]:
    """All of the time, and some parts of it."""
    chance = random.Random(seed)
    times = [one.ts for one in every]
    starts = [Filter(start=chance.choice(times)) for _ in range(3)]
    both = [sorted(chance.sample(times, k=2)) for _ in range(2)]
    return [Filter(), *starts, Filter(end=chance.choice(times)), *(Filter(start=one, end=two) for one, two in both)]


def _with_path_ids(seed: int) -> list[bytes]:
    chance = random.Random(seed)
    routers = [Router("192.0.2.1", 64500), Router("192.0.2.2", 64501)]
    lines = [line for router in routers for line in router.up()]
    ids: dict[str, list[int | None]] = {"192.0.2.1": [1, 2, 3], "192.0.2.2": [None]}
    for _ in range(110):
        router = chance.choice(routers)
        router.time = max(one.time for one in routers)
        path_ids, kind = ids[router.address], chance.random()
        some = [(PREFIX, path_id) for path_id in chance.sample(path_ids, k=chance.randint(1, len(path_ids)))]
        if kind < 0.06:
            lines += [router.down(), *router.up()]
        elif kind < 0.1:
            router.counter += 3  # lines that never came
        elif kind < 0.35:
            lines.append(router.say(withdraw=some, path=()))
        else:
            ended = some[:1] if chance.random() < 0.1 else []
            lines.append(router.say(announce=some, withdraw=ended, path=(router.asn, 64496 + chance.randrange(9))))
    return [*lines, routers[0].down(), routers[1].down()]


def _files(seed: int) -> list[bytes]:
    chance, time = random.Random(seed), T0.timestamp()
    peers = [("192.0.2.1", 64500), ("192.0.2.2", 64501)]
    files = []
    for _ in range(3):
        records = []
        for _ in range(35):
            time += chance.choice([0, 1, 1, 7])
            address, asn = chance.choice(peers)
            prefix = chance.choice(["10.1.0.0/16", "10.0.0.0/8"])
            update = (
                withdrawal(prefix) if chance.random() < 0.4 else announcement(prefix, asn, 64500 + chance.randrange(9))
            )
            records.append(message(update, address=address, asn=asn, time=time))
            if chance.random() < 0.05:
                records.append(state_change(6, 1, address=address, asn=asn, time=time))
        time += chance.choice([0, 5])
        held = [index(*peers, time=time)]
        for prefix in ("10.0.0.0/8", "10.1.0.0/16"):
            paths = [entry(attributes(asn, 64511), number) for number, (_, asn) in enumerate(peers)]
            held.append(rib(prefix, *chance.sample(paths, k=chance.randint(1, 2)), time=time))
        files += [b"".join(records), b"".join(held)]
    return files
