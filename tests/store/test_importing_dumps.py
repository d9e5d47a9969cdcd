"""RIB dumps in the archive: a stored table for each peer, from which queries, updates and upkeep continue."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.bgp.messages import KEEPALIVE
from collector.dumps import importer
from collector.dumps.importer import DumpImporter
from collector.errors import StoreUnavailableError
from collector.query.diff import diff
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, history
from collector.query.rib import RibQuery, rib
from collector.query.timeline import timeline
from collector.query.verify.verify import verify
from collector.rib.catching_up import catch_up
from collector.rib.projecting import Rhythm
from collector.rib.rebuilding import rebuild
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from tests import mrt_builder as build
from tests.faults.mongo_proxy import Forward, Message, ResetConnection, passing, proxy
from tests.mrt_builder import announcement, attributes, entry, index, message, withdrawal

T = 1_800_000_000
ONE, TWO, SILENT = ("192.0.2.1", 64500), ("2001:db8::2", 64501), ("192.0.2.3", 64502)
ALL = Selection()
COLLECTIONS = ("updates", "sessions", "gaps", "rejects", "snapshots", "snapshot_parts")


def dump(at: float = T, *more: bytes) -> bytes:
    """A dump with the tables of two peers, and of one without routes."""
    mine, others = attributes(64500, 7, community=64500 << 16 | 1), attributes(64501, 8, hop="2001:db8::1")
    return (
        index(ONE, TWO, SILENT, time=at)
        + build.rib("10.0.0.0/8", entry(mine, originated=T - 86400), time=at)
        + build.rib("10.1.0.0/16", entry(mine, originated=T - 60), entry(attributes(64501, 9), 1), time=at)
        + build.rib("2001:db8::/32", entry(others, 1, originated=T - 7), time=at)
        + b"".join(more)
    )


async def imported(store: Store, path: Path, data: bytes, *, selection: Selection = ALL) -> Any:
    path.write_bytes(data)
    kind = DumpImporter if data[4:6] in (b"\0\x0c", b"\0\x0d") else Importer
    return await kind(store, source=MRT, collector="rrc", selection=selection).take(path)


async def everything(store: Store) -> dict[str, list[Any]]:
    found = {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}
    for one in found["snapshots"]:
        del one["written"]
    return found


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


async def routes(store: Store, at: float, prefix: str | None = None, match: Any = "exact") -> list[tuple[Any, ...]]:
    found = rib(store, RibQuery(prefix, match, at=moment(at)))
    return [(one.peer.address, one.prefix, one.as_path, one.state) async for one in found]


FIRST = [("192.0.2.1", "10.0.0.0/8", "64500 7", "stands"), ("192.0.2.1", "10.1.0.0/16", "64500 7", "stands")]
SECOND = [
    ("2001:db8::2", "10.1.0.0/16", "64501 9", "stands"),
    ("2001:db8::2", "2001:db8::/32", "64501 8", "stands"),
]


async def test_a_dump_is_a_table_of_each_peer_at_its_time(tmp_path: Path, store: Store) -> None:
    told = await imported(store, tmp_path / "rib", dump())
    assert (told.records, told.tables, told.routes, told.rejected, told.differ) == (4, 3, 4, 0, 0)
    assert await routes(store, T) == FIRST + SECOND
    assert await routes(store, T - 1) == []
    (route,) = [one async for one in rib(store, RibQuery("10.0.0.0/8", at=moment(T)))]
    assert (route.since, route.next_hop, route.communities) == (moment(T - 86400), "192.0.2.1", ["64500:1"])
    (route,) = [one async for one in rib(store, RibQuery("2001:db8::/32", at=moment(T)))]
    assert route.next_hop == "2001:db8::1"
    found = await everything(store)
    assert [(one["began"], one["until"]) for one in found["sessions"]] == [("table", moment(T + 1))] * 3
    assert [one["routes"] for one in found["snapshots"] if one["peer"]["address"] == SILENT[0]] == [0]
    assert (await imported(store, tmp_path / "again", dump())).was_imported
    assert await everything(store) == found


async def test_lookup_history_and_diff(tmp_path: Path, store: Store) -> None:
    await imported(store, tmp_path / "rib", dump())
    said = message(announcement("10.1.0.0/16", 64500, 5), time=T + 60), message(withdrawal("10.0.0.0/8"), time=T + 120)
    await imported(store, tmp_path / "updates", b"".join(said))
    assert (await routes(store, T + 30, "10.1.2.0/24", "longest"))[0] == FIRST[1]
    assert await routes(store, T + 90, "10.1.0.0/16") == [("192.0.2.1", "10.1.0.0/16", "64500 5", "stands"), SECOND[0]]
    assert await routes(store, T + 120, "10.9.0.0/16", "longest") == []  # the files end there
    entries = [one async for one in history(store, HistoryQuery("10.1.0.0/16"))]
    assert [(one.event, one.peer.address, one.as_path, one.ts.timestamp() - T) for one in entries] == [
        ("table", "192.0.2.1", "64500 7", 0),
        ("table", "2001:db8::2", "64501 9", 0),
        ("announce", "192.0.2.1", "64500 5", 60),
        ("session_end", "192.0.2.1", "64500 5", 120),
        ("session_end", "2001:db8::2", "64501 9", 120),
    ]
    assert entries[0].since == moment(T - 60)
    later = [one async for one in history(store, HistoryQuery("10.0.0.0/8", Filter(start=moment(T + 60))))]
    assert [(one.event, one.as_path) for one in later] == [("withdraw", "64500 7")]
    changes = [one async for one in diff(store, RibQuery(), moment(T), moment(T + 119))]
    assert [(one.event, one.prefix) for one in changes] == [
        ("changed", "10.1.0.0/16"),
    ]


async def test_a_time_line_has_tables_as_history_has_them(tmp_path: Path, store: Store) -> None:
    await imported(store, tmp_path / "rib", dump())
    said = message(announcement("10.1.0.0/16", 64500, 5), time=T + 60), message(withdrawal("10.0.0.0/8"), time=T + 120)
    await imported(store, tmp_path / "updates", b"".join(said))
    for prefix in ("10.1.0.0/16", "10.0.0.0/8"):
        for start in (None, T, T + 1, T + 61, T + 119):
            span = Filter(start=moment(start) if start else None)
            every = [one async for one in history(store, HistoryQuery(prefix, span))]
            found = await timeline(store, prefix, span, until=None, seconds=60)
            assert sorted(map(str, found.entries)) == sorted(map(str, every))
            stood = [(one.peer.address, one.prefix, one.as_path) for one in found.standing]
            assert sorted(stood) == ([one[:3] for one in await routes(store, start - 0.001, prefix)] if start else [])
    assert "table" in {one.event for one in found.entries} | {one.event for one in found.standing}


async def test_updates_go_on_from_the_newest_dump(tmp_path: Path, store: Store) -> None:
    said = (message(announcement(f"10.{number}.0.0/16", 64500, 7), time=T - 200 + number) for number in range(4))
    await imported(store, tmp_path / "before", b"".join(said))
    told = await imported(store, tmp_path / "rib", dump(T - 100))
    assert told.differ == 1
    assert [one for one in await routes(store, T - 100) if one[0] == ONE[0]] == FIRST
    (gap,) = [one for one in (await everything(store))["gaps"] if one["cause"] == "table"]
    # Of what was before the first record nothing is known: what the dump has more is no news.
    assert gap["reason"] == "the RIB dump rib has other routes than the UPDATEs before it give: 3 fewer"
    assert [(one.event, one.ts) async for one in history(store, HistoryQuery("10.2.0.0/16"))][-1] == (
        "gap",
        moment(T - 100),
    )
    after = message(announcement("10.9.0.0/16", 64500, 7), time=T - 90) + message(withdrawal("10.0.0.0/8"), time=T - 80)
    await imported(store, tmp_path / "after", after + message(KEEPALIVE, time=T - 70))
    (session,) = [one for one in (await everything(store))["sessions"] if one["peer"]["address"] == ONE[0]]
    assert (session["began"], session["updates"]) == ("seen", 6)
    assert [one[1:] for one in await routes(store, T - 80) if one[0] == ONE[0]] == [
        ("10.1.0.0/16", "64500 7", "stands"),
        ("10.9.0.0/16", "64500 7", "stands"),
    ]


async def test_a_dump_that_comes_later_than_the_updates_around_it(tmp_path: Path, store: Store) -> None:
    said = (message(announcement(f"10.{number}.0.0/16", 64500), time=T - 9 + number) for number in range(19))
    await imported(store, tmp_path / "updates", b"".join(said))
    keys = [one["_id"] for one in (await everything(store))["sessions"]]
    await catch_up(store, keys, Rhythm(8, 2))
    assert len((await everything(store))["snapshots"]) > 4
    await imported(store, tmp_path / "rib", dump(T))
    mine = [one[1] for one in await routes(store, T + 2) if one[0] == ONE[0]]
    assert mine == ["10.0.0.0/8", "10.1.0.0/16", "10.9.0.0/16", "10.10.0.0/16", "10.11.0.0/16"]
    assert len([one for one in await routes(store, T - 1) if one[0] == ONE[0]]) == 9
    before = [await routes(store, T + at) for at in range(-9, 12)]
    for _ in range(2):
        made = await rebuild(store, Rhythm(8, 2))
        found = (await everything(store))["snapshots"]
        assert made == len(found)
        assert len([one for one in found if "dump" in one]) == 3
        assert len([one for one in found if one["peer"]["address"] == ONE[0] and "dump" not in one]) > 4
        assert [await routes(store, T + at) for at in range(-9, 12)] == before


async def test_a_dump_that_is_cut_or_damaged_is_stored_as_far_as_it_can_be_read(tmp_path: Path, store: Store) -> None:
    bad = build.record(13, 2, b"\0\0\0\0\x21", T)
    whole = dump(T, bad, build.rib("2001:db8:1::/48", entry(attributes(64501, hop="2001:db8::1"), 1), time=T))
    told = await imported(store, tmp_path / "rib", whole[:-7])
    assert (told.tables, told.routes, told.rejected) == (3, 4, 1)
    assert told.fault is not None
    assert f"is cut short: record 6 at offset {whole.index(bad) + len(bad)}" in told.fault.cause
    assert [one[:3] for one in await routes(store, T)] == [one[:3] for one in FIRST + SECOND]
    found = await everything(store)
    (reject,) = found["rejects"]
    assert (reject["raw"], reject["offset"], reject["ts"]) == (bad, whole.index(bad), moment(T))
    assert {(one["cause"], one["reason"]) for one in found["gaps"]} == {
        ("reject", "2 records of the RIB dump rib cannot be read")
    }


async def test_a_complete_dump_replaces_the_one_that_was_cut(tmp_path: Path, store: Store) -> None:
    whole = dump(T, build.rib("2001:db8:1::/48", entry(attributes(64501, hop="2001:db8::1"), 1), time=T))
    assert (await imported(store, tmp_path / "rib", whole[:-7])).fault
    told = await imported(store, tmp_path / "rib", whole)
    assert (told.tables, told.routes, told.differ, told.was_imported) == (3, 5, 0, False)
    more = ("2001:db8::2", "2001:db8:1::/48", "64501", "stands")
    assert sorted(await routes(store, T)) == sorted([*FIRST, *SECOND, more])
    found = await everything(store)
    assert [len(found[name]) for name in ("sessions", "snapshots", "gaps", "rejects")] == [3, 3, 0, 0]


async def test_verify_counts_what_imports_stored(tmp_path: Path, store: Store) -> None:
    said = (message(announcement(f"10.{number}.0.0/16", 64500, 7), time=T - 200 + number) for number in range(4))
    await imported(store, tmp_path / "before", b"".join(said) + build.record(16, 99, b"", T - 195))
    await imported(store, tmp_path / "rib", dump(T - 100))
    found = await verify(tmp_path / "data", store, "test")
    assert (found.complete, found.files, found.documents) == (True, 2, 5)
    assert [(one.what, one.peer) for one in found.findings] == [("table", ONE[0])]
    (update, *_) = (await everything(store))["updates"]
    (part,) = [one for one in (await everything(store))["snapshots"] if one["peer"]["address"] == TWO[0]]
    await store.remove("updates", {"_id": update["_id"]})
    await store.remove("snapshot_parts", {"snapshot": part["_id"]})
    found = await verify(tmp_path / "data", store, "test")
    assert not found.complete
    assert [one.what for one in found.findings] == ["missing", "tally", "table", "table"]
    assert found.findings[0].detail == "before: 5 records were stored, and 4 documents are there"


async def test_a_dump_goes_on_where_the_store_went_away(
    tmp_path: Path, embedded_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_PATIENCE", 0)
    file, there, sessions = tmp_path / "rib", urlsplit(embedded_uri), 0

    async def away_behind_the_first_table(request: Message, forward: Forward) -> bytes:
        nonlocal sessions
        sessions += request.body.get("update") == "sessions"
        if sessions > 1 and not request.is_hello:
            raise ResetConnection
        return await forward()

    async with proxy(there.port or 0) as between:
        uri = embedded_uri.replace(str(there.port), str(between.port))
        async with (
            Store.open(embedded_uri, database=f"{database}_whole") as whole,
            Store.open(uri, database=database) as far,
        ):
            assert (await imported(whole, file, dump())).tables == 3
            await far.prepare()
            await between.set(away_behind_the_first_table)
            with pytest.raises(
                StoreUnavailableError, match=r"does not answer .*, before everything was stored"
            ) as caught:
                await imported(far, file, dump())
            assert caught.value.cure == "import again when it is back: the import continues from here"
            await between.set(passing)
            rest = await imported(far, file, dump())
            assert (rest.continued, rest.tables) == (True, 2)
            assert await everything(far) == await everything(whole)


async def test_a_store_that_comes_back_is_waited_for(
    tmp_path: Path, embedded_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_FIRST_PAUSE", 0.01)
    there, begun, refused = urlsplit(embedded_uri), False, 0

    async def away_for_a_while(request: Message, forward: Forward) -> bytes:
        nonlocal begun, refused
        begun |= request.body.get("update") == "snapshot_parts"
        if begun and not request.is_hello and refused < 8:
            refused += 1
            raise ResetConnection
        return await forward()

    async with proxy(there.port or 0) as between:
        uri = embedded_uri.replace(str(there.port), str(between.port))
        async with Store.open(uri, database=database) as far:
            await far.prepare()
            await between.set(away_for_a_while)
            assert (await imported(far, tmp_path / "rib", dump())).tables == 3
            assert await routes(far, T) == FIRST + SECOND
    assert refused == 8
