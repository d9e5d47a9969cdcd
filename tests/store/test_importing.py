"""MRT files in the archive: each record once, as bgpdump reads it, whatever interrupts or repeats an import."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bgpledger import Answers, Archive
from collector.archive.file_records import look_through
from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.bgp import messages as bgp
from collector.errors import ImportFileError, StoreUnavailableError
from collector.query.filters import Filter
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from schemas.query import RouteChange
from schemas.scalars import spoken
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import proxy
from tests.mrt_builder import announcement, announcement6, message, record, state_change, withdrawal
from tests.running import BGPLEDGER
from tests.support import until

T = 1_800_000_000
COLLECTIONS = ("updates", "messages", "sessions", "gaps", "rejects")
ALL = Selection()
ALIVE = message(bgp.KEEPALIVE, time=T + 9)
ROUTES = [f"10.{high}.{low}.0/24" for high in range(4) for low in range(200)]


def updates(*records: bytes, at: float = T) -> bytes:
    """Records of one session, which is up from the first one."""
    return state_change(5, 6, time=at) + b"".join(records)


def said(prefix: str, at: float, *path: int) -> bytes:
    return message(announcement(prefix, *(path or (64500, 7))), time=at)


async def imported(store: Store, path: Path, *, selection: Selection = ALL, collector: str = "rrc") -> Any:
    return await Importer(store, source=MRT, collector=collector, selection=selection).take(path)


async def everything(store: Store) -> dict[str, list[Any]]:
    return {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}


async def routes(store: Store, at: float) -> list[tuple[str | None, str]]:
    moment = datetime.fromtimestamp(at, UTC)
    return [(one.prefix, one.state) async for one in rib(store, RibQuery(at=moment))]


async def test_times_are_those_of_the_file(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(updates(said("10.0.0.0/8", T + 1.25), message(withdrawal("10.0.0.0/8"), time=T + 2)))
    told = await imported(store, path)
    assert (told.records, told.rejected, told.was_imported) == (3, 0, False)
    entries = [one async for one in search(store, Filter())]
    assert [(one.event, one.ts.timestamp() - T) for one in entries] == [
        ("session_up", 0),
        ("announce", 1.25),
        ("withdraw", 2),
        ("session_end", 2),
    ]
    assert entries[-1].reason == "the files end here"
    assert {one.collector for one in entries} == {"rrc"}
    assert await routes(store, T + 1.5) == [("10.0.0.0/8", "stands")]
    assert await routes(store, T + 2) == []


async def test_a_file_is_imported_once(tmp_path: Path, store: Store) -> None:
    path, moved = tmp_path / "updates", tmp_path / "other.name"
    path.write_bytes(updates(said("10.0.0.0/8", T + 1)))
    await imported(store, path)
    before = await everything(store)
    moved.write_bytes(path.read_bytes())
    assert (await imported(store, moved)).was_imported
    assert await everything(store) == before


async def test_ctrl_c_breaks_it_off(tmp_path: Path, store: Store, mongodb_uri: str, database: str) -> None:
    path = tmp_path / "updates"
    path.write_bytes(updates(*(said(prefix, T + 1) for prefix in ROUTES)))
    async with proxy(urlsplit(mongodb_uri).port or 0) as between:
        await between.set(faults.never_answering_writes)
        importing = await asyncio.create_subprocess_exec(
            *(BGPLEDGER, "import", str(path), "--collector", "rrc"),
            stderr=asyncio.subprocess.PIPE,
            env={
                "BGPLEDGER_DATA_DIR": str(tmp_path),
                "BGPLEDGER_MONGODB_DATABASE": database,
                "BGPLEDGER_MONGODB_URI": between.uri(),
            },
        )
        await until(lambda: between.spoilt, what="it writes")
        importing.send_signal(signal.SIGINT)
        assert importing.stderr
        told = (await importing.stderr.read()).decode()
        assert await importing.wait() == 130, told
    assert "the same command continues from there" in told
    assert "Traceback" not in told
    await imported(store, path)
    assert len((await everything(store))["updates"]) == len(ROUTES)


class _Ends(Exception):
    """What ends an import."""


@pytest.mark.parametrize("when", [1, 2, 3])
async def test_an_import_that_was_broken_off_goes_on_where_it_was(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    path = tmp_path / "updates"
    path.write_bytes(updates(*(said(route, T + number // 50) for number, route in enumerate(ROUTES))))
    await imported(store, path)
    whole = await everything(store)
    for name in (*COLLECTIONS, "meta"):
        await store.remove(name, {} if name != "meta" else {"_id": {"$regex": "^import"}})

    # Several batches, whatever the server takes.
    monkeypatch.setattr(store, "_traits", replace(await store.traits(), batch_lines=len(ROUTES) // 4))
    monkeypatch.setattr("collector.archive.archiver.CHECKPOINT_SECONDS", 0)
    insert, calls, one_by_one = Store.insert, 0, asyncio.Lock()

    async def ending(self: Store, collection: str, documents: Sequence[Any]) -> Any:
        nonlocal calls
        async with one_by_one:
            calls += collection == "updates"
            if calls > when:
                raise _Ends
            return await insert(self, collection, documents)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "insert", ending)
        with pytest.raises(ExceptionGroup):
            await imported(store, path)
    assert 0 < len((await everything(store))["updates"]) < len(ROUTES)
    assert (await imported(store, path)).continued
    assert await everything(store) == whole


async def test_a_store_that_goes_away_is_told(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "updates"
    path.write_bytes(updates(said("10.0.0.0/8", T + 1), ALIVE))

    async def away(*_: Any) -> Any:
        raise StoreUnavailableError("the store does not answer", "start it")

    with monkeypatch.context() as gone:
        gone.setattr(Store, "insert", away)
        with pytest.raises(StoreUnavailableError):
            await imported(store, path)
    assert not (await imported(store, path)).was_imported
    assert await routes(store, T + 2) == [("10.0.0.0/8", "stands")]


async def test_sessions_go_on_in_the_file_that_follows(tmp_path: Path, store: Store) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(updates(said("10.0.0.0/8", T + 1), said("10.1.0.0/16", T + 299)))
    two.write_bytes(said("10.2.0.0/16", T + 301))
    await imported(store, one)
    assert [session["until"].timestamp() for session in (await everything(store))["sessions"]] == [T + 299]
    await imported(store, two)
    (session,) = (await everything(store))["sessions"]
    assert (session["since"].timestamp(), session["until"].timestamp(), session["updates"]) == (T, T + 301, 3)
    assert await routes(store, T + 300) == [("10.0.0.0/8", "stands"), ("10.1.0.0/16", "stands")]
    assert (await everything(store))["gaps"] == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as they were", "the later one first"])
async def test_sessions_end_where_the_files_have_a_hole(tmp_path: Path, store: Store, order: tuple[int, int]) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    paths[0].write_bytes(updates(said("10.0.0.0/8", T + 1)))
    paths[1].write_bytes(said("10.1.0.0/16", T + 3600) + message(bgp.KEEPALIVE, time=T + 3609))
    for number in order:
        await imported(store, paths[number])
    sessions = (await everything(store))["sessions"]
    assert [(one["began"], one["until"].timestamp() - T) for one in sessions] == [("up", 1), ("seen", 3609)]
    # Nobody said that they ended.
    assert {(one["ended_by"], one["reason"]) for one in sessions} == {("collector", "the files end here")}
    assert await routes(store, T + 1800) == []
    assert await routes(store, T + 3600) == [("10.1.0.0/16", "stands")]
    assert [one["cause"] for one in (await everything(store))["gaps"]] == ["session"]


async def test_what_stands_after_the_last_file_is_not_known(tmp_path: Path, store: Store) -> None:
    past = 1_600_000_000
    path, end = tmp_path / "updates", datetime.fromtimestamp(past + 2, UTC)
    path.write_bytes(updates(said("10.0.0.0/8", past + 1), said("10.1.0.0/16", past + 2), at=past))
    await imported(store, path)
    assert await routes(store, past + 2) == [("10.0.0.0/8", "stands"), ("10.1.0.0/16", "stands")]
    archive, later = Archive(store, tmp_path), end + timedelta(seconds=1)
    asked: list[Answers[Any]] = [archive.rib(at=later), archive.rib(), archive.lookup("10.0.0.1", at=later)]
    for answers in [*asked, archive.diff(end, later), archive.table(at=later)]:
        assert all(isinstance(one, RouteChange) for one in [one async for one in answers])
        (note,) = answers.notes
        assert not answers.covered
        assert f"not known: the last session ended at {spoken(end)} UTC (the files end here)" in note


async def test_what_cannot_be_read_is_rejected_and_leaves_its_mark(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    broken = bgp.message(bgp.UPDATE, b"\xff\xff\0\0")
    whole = updates(
        said("10.0.0.0/8", T + 1),
        message(broken, time=T + 2),
        record(16, 99, b"", T + 3),
        record(11, 0, b"ospf", T + 3),
        said("10.1.0.0/16", T + 4),
        ALIVE,
    )
    path.write_bytes(whole)
    told = await imported(store, path)
    assert (told.records, told.rejected, told.others) == (6, 2, {"OSPFv2 (11)": 1})
    found = await everything(store)
    assert [one["reason"] for one in found["rejects"]] == [
        "UPDATE: its lengths reach beyond it (RFC 4271 6.3)",
        "the MRT record is of BGP4MP subtype 99, which is none of RFC 6396 or RFC 8050",
    ]
    for reject, raw in zip(found["rejects"], (message(broken, time=T + 2), record(16, 99, b"", T + 3)), strict=True):
        assert (reject["raw"], reject["offset"]) == (raw, whole.index(raw))
    assert [(one["cause"], one["peer"]["address"]) for one in found["gaps"]] == [("reject", "192.0.2.1")]
    assert await routes(store, T + 4) == [("10.0.0.0/8", "uncertain"), ("10.1.0.0/16", "stands")]
    looked = look_through(path, MRT, Selection())
    assert (looked.records, looked.rejected, looked.others) == (6, 2, told.others)


async def test_a_reject_at_the_beginning_has_the_time_of_the_file(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(record(16, 99, b"", T) + message(bgp.message(bgp.UPDATE, b"\xff\xff\0\0"), time=T) + updates())
    await imported(store, path)
    found = await everything(store)
    assert {one["ts"].timestamp() for one in (*found["rejects"], *found["gaps"])} == {T}


async def test_path_identifiers_under_a_subtype_without_them_are_noticed(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(
        updates(
            message(announcement("10.0.0.0/8", 64500, path_id=1), time=T + 1),
            message(announcement("10.0.0.0/8", 64500, path_id=7), subtype=9, time=T + 2),
        )
    )
    assert (await imported(store, path)).rejected == 1
    found = await everything(store)
    assert "path identifiers" in found["rejects"][0]["reason"]
    assert [one["announce"][0]["path_id"] for one in found["updates"]] == [7]


async def test_a_cut_file_is_stored_as_far_as_it_came(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    path.write_bytes(updates(said("10.0.0.0/8", T + 1), ALIVE, said("10.1.0.0/16", T + 20))[:-5])
    told = await imported(store, path)
    assert told.records == 3
    assert told.fault is not None
    assert "is cut short: record 4" in told.fault.cause
    assert await routes(store, T + 2) == [("10.0.0.0/8", "stands")]


async def test_only_what_is_asked_for(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "updates"
    other = message(announcement6("2001:db8::/32", 64501), address="2001:db8::2", asn=64501, time=T + 1)
    path.write_bytes(
        updates(said("10.0.0.0/8", T + 1), other, said("10.1.0.0/16", T + 2.5), said("10.2.0.0/16", T + 9))
    )
    start = datetime.fromtimestamp(T, UTC) + timedelta(seconds=1)
    selection = Selection(start, start + timedelta(seconds=8), frozenset({"192.0.2.1"}))
    told = await imported(store, path, selection=selection)
    assert (told.records, told.left_out) == (2, 3)
    assert [one["announce"][0]["nlri"] for one in (await everything(store))["updates"]] == [
        ["10.0.0.0/8"],
        ["10.1.0.0/16"],
    ]
    with pytest.raises(ImportFileError):
        await imported(store, path)
    assert (await imported(store, path, collector="another")).records == 5


async def test_two_at_once_are_both_there(tmp_path: Path, store: Store) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for number, path in enumerate(paths):
        path.write_bytes(
            b"".join(
                message(announcement(route, 64500), address=f"192.0.2.{number}", time=T + at // 100)
                for at, route in enumerate(ROUTES)
            )
        )
    await asyncio.gather(*(imported(store, path) for path in paths))
    found = await everything(store)
    assert [len(found[name]) for name in ("updates", "sessions")] == [2 * len(ROUTES), 2]
