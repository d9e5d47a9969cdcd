"""Rows of Parquet files, which appear whole or not at all."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pyarrow import parquet as pq  # type: ignore[import-untyped]

from collector.errors import ExportError
from collector.export.parquet import ParquetWriter, rows_of
from collector.query.messages import SessionChange, StoredMessage

T = datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC)
PEER = {"address": "192.0.2.1", "asn": 64500}


def update(seconds: int = 0, *, collector: str = "rrc", **document: Any) -> StoredMessage:
    ts = T + timedelta(seconds=seconds)
    whole = {"_id": ObjectId(), "collector": collector, "peer": PEER, **document}
    return StoredMessage(ts, whole, None)  # type: ignore[arg-type]


def announced(*prefixes: str, path: str = "64500 1", **group: Any) -> dict[str, Any]:
    route = {"family": "ipv4 unicast", "nlri": list(prefixes), "next_hop": "192.0.2.1", **group}
    extended = [{"hex": "0002fbf400000064", "text": "target:64500:100"}, {"hex": "8000000000000000", "text": ""}]
    return {"attributes": {"as_path": path, "med": 5, "extended_communities": extended}, "announce": [route]}


async def each(said: Iterable[StoredMessage | SessionChange]) -> AsyncIterator[StoredMessage | SessionChange]:
    for one in said:
        yield one


async def test_a_row_is_a_route_or_a_session(tmp_path: Path) -> None:
    session: Any = {"_id": ObjectId(), "collector": "rrc", "peer": {**PEER, "router": "198.51.100.1"}}
    flow = {"family": "ipv4 flow", "objects": [{"string": "flow"}]}
    said: list[Any] = [
        SessionChange(T, session, ended=False),
        update(**announced("10.0.0.0/8", "10.1.0.0/16", path="64500 {1,2}", path_id=7, rd="1:2")),
        update(withdraw=[flow]),
        update(kind="keepalive"),
        SessionChange(T, session, ended=True),
    ]
    written = await ParquetWriter(tmp_path / "out", by_day=False).write(each(said))
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert written.records == len(rows) == 5
    assert [(row["action"], row["prefix"], row["prefix_len"], row["router"]) for row in rows] == [
        ("up", None, None, "198.51.100.1"),
        ("A", "10.0.0.0/8", 8, "rrc"),
        ("A", "10.1.0.0/16", 16, "rrc"),
        ("W", None, None, "rrc"),
        ("down", None, None, "198.51.100.1"),
    ]
    route = rows[1]
    assert (route["as_path"], route["as_path_text"], route["origin_asn"]) == ([64500, 1, 2], "64500 {1,2}", None)
    assert (route["path_id"], route["rd"], route["med"], route["local_pref"]) == (7, "1:2", 5, None)
    assert route["ext_communities"] == ["target:64500:100", "0x8000000000000000"]
    assert (route["time"], route["message"]) == (T, str(said[1].document["_id"]))
    assert rows[3]["object"] == '{"string": "flow"}'
    assert list(rows_of(said[3])) == []


async def test_a_folder_has_one_file_for_each_router_and_day(tmp_path: Path) -> None:
    said = [
        update(collector=collector, seconds=seconds, **announced("10.0.0.0/8"))
        for seconds in (0, 2)
        for collector in ("a/b", "rrc")
    ]
    assert (await ParquetWriter(tmp_path, by_day=True).write(each(said))).records == 4
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        f"router={router}/day=2027-01-0{day}/updates.parquet" for router in ("a%2Fb", "rrc") for day in (1, 2)
    ]
    assert pq.read_table(tmp_path).num_rows == 4


@pytest.mark.parametrize("by_day", [True, False])
async def test_an_export_that_fails_leaves_no_partial_file(tmp_path: Path, by_day: bool) -> None:
    async def fails() -> AsyncIterator[StoredMessage | SessionChange]:
        yield update(**announced("10.0.0.0/8"))
        raise ExportError("the store went away")

    path = tmp_path / "out"
    with pytest.raises(ExportError, match="went away"):
        await ParquetWriter(path, by_day=by_day).write(fails())
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(ExportError, match="cannot be written"):
        await ParquetWriter(path / "x", by_day=by_day).write(each([update(**announced("10.0.0.0/8"))]))


def test_a_missing_pyarrow_is_reported_with_its_cure() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
from collector.cli import main
main(["export", "--all", "--format", "parquet", "--mongodb-uri", "mongodb://127.0.0.1:1", "x.parquet"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: Parquet files need pyarrow, which is not installed",
        "cure: pip install 'bgpledger[parquet]'",
    ]
