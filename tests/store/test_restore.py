"""Kept segments archived again: the same documents, wherever they go."""

import json
from pathlib import Path
from typing import Any

import pytest

from collector.archive.archiver import Archiver
from collector.archive.restore import restore
from collector.instances import Instance
from collector.sources.bmp.source import BMP
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Source
from collector.spool.framing import frame
from collector.spool.kept import Keep, kept_segments, lines_of
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from schemas.keys import key_line
from tests.bmp_builder import PeerOf, initiation, record, update
from tests.running import bgpledger
from tests.support import Router

COLLECTIONS = ("updates", "messages", "sessions", "gaps", "rejects")
MARK = b'{"bgpledger": "receive", "event": "start", "time": 1799999999.0, "pid": 9, "ppid": 100}'


def lines() -> list[bytes]:
    """Two sessions, one within the other's, a gap, a reject."""
    one, two = Router(), Router("198.51.100.7", 64501)
    said = [MARK, *one.up(), *two.up()]
    for number in range(60):
        said.append(one.announce(f"10.0.{number}.0/24"))
        if number == 40:
            one.keepalive()
            said += [two.announce("192.0.2.0/24"), two.down(), b"{"]
    return [*said, one.down(), *one.up()]


def records() -> list[bytes]:
    """A router that speaks BMP, with one peer."""
    peer = PeerOf("198.51.100.1", 64501)
    told = [initiation(), peer.up(), *(peer.route(update(f"10.1.{number}.0/24")) for number in range(60)), peer.down()]
    return [frame(record(one, 1.8e9 + number)) for number, one in enumerate(told)]


async def archived(spool: Path, store: Store, instance: str = "", source: Source = EXABGP) -> None:
    with SpoolWriter(spool, segment_bytes=2000) as writer:
        writer.write(b"".join(records() if source.binary else [line + b"\n" for line in lines()]))
    with SpoolReader(spool, keep=Keep(spool, 7)) as reader:
        archiver = Archiver(
            reader, store, source=source, collector="test", ranges=["198.51.100.0/24"], instance=instance, batch_lines=7
        )
        archiver.stop()
        await archiver.run()


async def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    return {name: [one async for one in store.find(name, {}, sort=[("_id", 1)])] for name in COLLECTIONS}


async def test_what_is_there_stays_as_it_is(data_dir: Path, store: Store) -> None:
    await archived(data_dir, store)
    before = await everything(store)
    assert [len(documents) for documents in before.values()] == [61, 15, 3, 1, 1]
    segments = kept_segments(data_dir)
    assert len(segments) > 10
    count = await restore(segments, store, source=EXABGP, collector="test", ranges=["198.51.100.0/24"])
    assert await everything(store) == before
    assert count == sum(len(list(lines_of(segment))) for segment in segments)


@pytest.mark.parametrize("begin", [0, 5])
async def test_another_database_gets_the_same(data_dir: Path, embedded_uri: str, begin: int) -> None:
    names = (f"restore_one_{begin}", f"restore_two_{begin}")
    async with Store.open(embedded_uri, database=names[0]) as one, Store.open(embedded_uri, database=names[1]) as two:
        await archived(data_dir, one)
        segments = kept_segments(data_dir)[begin:]
        await restore(segments, two, source=EXABGP, collector="test", ranges=["198.51.100.0/24"])
        first, behind = segments[0].first, segments[-1].first + len(list(lines_of(segments[-1])))
        original, copy = await everything(one), await everything(two)
        for name in ("updates", "messages", "rejects", "gaps"):
            lines_ = [one["line"] if name == "gaps" else key_line(one["_id"]) for one in original[name]]
            wanted = [one for one, line in zip(original[name], lines_, strict=True) if first <= line < behind]
            assert copy[name] == wanted


async def test_by_the_command_line(data_dir: Path, embedded_uri: str) -> None:
    async with Store.open(embedded_uri, database="by_hand") as store:
        await archived(data_dir / "spool", store)
    shown = bgpledger("--data-dir", str(data_dir), "spool", "list", "--format", "jsonl")
    listed = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {one["state"] for one in listed} == {"kept", "open"}
    assert sum(one["lines"] for one in listed) == len(lines())
    common = ("--data-dir", str(data_dir), "--mongodb-uri", embedded_uri, "spool", "replay")
    done = bgpledger(*common, "--database", "by_hand_again")
    kept = sum(one["lines"] for one in listed if one["state"] == "kept")
    assert done.stdout == f"{kept} lines of {len(listed) - 1} segments are stored\n", done.stderr
    nothing = bgpledger(*common, "--start", "2100-01-01")
    assert nothing.returncode == 2
    assert "no segment is kept" in nothing.stderr
    bad = bgpledger(*common, "--database", "a b")
    assert bad.returncode == 2
    assert "cannot be the name of a database" in bad.stderr


async def test_every_spool_of_a_collector(data_dir: Path, embedded_uri: str) -> None:
    """The spools of two ExaBGP processes and of BMP: each is archived again as its own source, with the same keys."""
    async with (
        Store.open(embedded_uri, database="three_spools") as store,
        Store.open(embedded_uri, database="three_spools_again") as again,
    ):
        for source, number in ((EXABGP, 0), (EXABGP, 1), (BMP, 0)):
            instance = Instance(data_dir, number, source.name)
            await archived(instance.spool, store, instance.label, source)
        shown = bgpledger("--data-dir", str(data_dir), "spool", "list", "--format", "jsonl")
        listed = [json.loads(line) for line in shown.stdout.splitlines()]
        assert sum(one["lines"] for one in listed) == 2 * len(lines()) + len(records())
        common = ("--data-dir", str(data_dir), "--mongodb-uri", embedded_uri, "spool", "replay")
        done = bgpledger(*common, "--database", "three_spools_again")
        kept = sum(one["lines"] for one in listed if one["state"] == "kept")
        assert done.stdout == f"{kept} lines of {len(listed) - 3} segments are stored\n", done.stderr
        first, copy = await everything(store), await everything(again)
        assert len(first["updates"]) == 2 * 61 + 60
        assert [one for one in first["updates"] if one in copy["updates"]] == copy["updates"]
        assert {one["source"].get("name") for one in copy["updates"]} == {None, "bmp"}
