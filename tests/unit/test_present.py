import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from collector.present.formats import Format, write
from collector.present.prometheus import METRICS
from schemas.message import Peer
from schemas.query import CollectorStatus, HistoryEntry, PeerStatus

TS = datetime(2026, 11, 23, 14, 5, 6, 7000, UTC)
ENTRY = HistoryEntry(
    ts=TS,
    peer=Peer(address="192.0.2.1", asn=64500),
    event="announce",
    prefix="203.0.113.0/24",
    family="ipv4 unicast",
    next_hop="192.0.2.1",
    as_path=" ".join(["64500"] * 40),
    origin="igp",
    communities=["64500:1", "64500:2"],
)
KEYS = [
    "ts",
    "peer",
    "event",
    "prefix",
    "path_id",
    "next_hop",
    "as_path",
    "origin",
    "med",
    "local_pref",
    "communities",
    "large_communities",
    "extended_communities",
]


async def written(answers: Sequence[BaseModel], form: Format) -> list[str]:
    async def each() -> AsyncIterator[BaseModel]:
        for answer in answers:
            yield answer

    stream = io.StringIO()
    assert await write(each(), type(answers[0]), form, stream) == len(answers)
    return stream.getvalue().splitlines()


async def test_jsonl_has_all_keys_that_scripts_lean_on() -> None:
    (line,) = await written([ENTRY], Format.JSONL)
    parsed = json.loads(line)
    assert set(KEYS) <= set(parsed)
    assert parsed["ts"] == "2026-11-23T14:05:06.007Z"
    assert parsed["med"] is None


async def test_a_table_in_a_pipe_has_a_line_a_row() -> None:
    header, first, second = await written([ENTRY, ENTRY.model_copy(update={"event": "session_end"})], Format.TABLE)
    assert "2026-11-23 14:05:06.007" in first
    assert "64500:1 64500:2" in first
    assert "session end" in second
    assert first.index("192.0.2.1") == header.index("peer")
    assert "MED" not in header


async def test_peers() -> None:
    peer = PeerStatus(address="192.0.2.1", asn=64500, state="up", since=TS, keepalive_age=61.4, updates=3, routes=2)
    _, row = await written([peer], Format.TABLE)
    assert row.split()[:4] == ["192.0.2.1", "64500", "up", "2026-11-23"]
    assert "0:01:01" in row


async def test_status() -> None:
    status = CollectorStatus(
        state="running",
        pid=1,
        data_dir="/d",
        read=3,
        stored=2,
        rejected=1,
        waiting=0,
        bytes_waiting=0,
        gaps=1,
        lost=2,
        lag_seconds=0,
        mongodb_uri=None,
        store="MongoDB 8",
        versions={"bgpledger": "1"},
    )
    assert json.loads("".join(await written([status], Format.JSON)))["stored"] == 2
    metrics = await written([status.model_copy(update={"read": 123_456_789})], Format.PROMETHEUS)
    assert "bgpledger_lines_read_total 123456789.0" in [line.rstrip() for line in metrics]
    assert "bgpledger_store_up 1.0" in [line.rstrip() for line in metrics]
    assert len(metrics) == 3 * len(METRICS)
    assert ["stored", "2"] in [line.split() for line in await written([status], Format.TABLE)]
