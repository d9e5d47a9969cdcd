import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from collector.present.formats import Format, write
from collector.present.prometheus import METRICS
from schemas.attributes import Aggregator, ExtendedCommunity
from schemas.message import Peer
from schemas.query import CollectorStatus, FoundEntry, HistoryEntry, LiveEntry, PeerStatus, TopEntry
from tests.support import until

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


async def written(answers: Sequence[BaseModel], form: Format, kind: type[BaseModel] | None = None) -> list[str]:
    async def each() -> AsyncIterator[BaseModel]:
        for answer in answers:
            yield answer

    stream = io.StringIO()
    assert await write(each(), kind or type(answers[0]), form, stream) == len(answers)
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


WHOLE = ENTRY.model_copy(
    update={
        "collector": "vm",
        "as_path": "64500 64496 {4,5}",
        "local_pref": 100,
        "communities": ["64500:1", "65535:65281"],
        "large_communities": ["64500:1:2"],
        "extended_communities": [ExtendedCommunity(hex="0002fbf400000001", text="target:64500:1")],
        "atomic_aggregate": True,
        "aggregator": Aggregator(asn=64496, address="192.0.2.9"),
    }
)
GONE = WHOLE.model_copy(update={"event": "withdraw"})
SESSION = HistoryEntry(ts=TS, peer=ENTRY.peer, collector="vm", event="session_end", reason="peer reset")
UP = SESSION.model_copy(update={"event": "session_up"})
EACH = [UP, WHOLE, GONE, SESSION]


async def test_json_is_an_array() -> None:
    for answers in ([ENTRY], EACH):
        parsed = json.loads("\n".join(await written(answers, Format.JSON)))
        assert parsed == [json.loads(answer.model_dump_json()) for answer in answers]


async def test_csv_has_all_keys() -> None:
    rows = list(csv.DictReader(await written(EACH, Format.CSV, FoundEntry)))
    assert {"ts", "peer_address", "peer_asn", *KEYS} - {"peer"} <= set(rows[0])
    assert rows[0]["prefix"] == ""
    assert rows[1]["as_path"] == "64500 64496 {4,5}"
    assert rows[1]["communities"] == "64500:1 65535:65281"
    assert rows[1]["extended_communities"] == "target:64500:1"
    assert rows[1]["aggregator"] == "64496 192.0.2.9"
    assert rows[1]["atomic_aggregate"] == "true"
    assert rows[3]["reason"] == "peer reset"


async def test_psv() -> None:
    header, row = await written(
        [TopEntry(name="1 2", announcements=3, withdrawals=2, flaps=1, path_changes=0)], Format.PSV
    )
    assert header == "name|announcements|withdrawals|flaps|path_changes"
    assert row == "1 2|3|2|1|0"


async def test_bgpdump() -> None:
    start, by = "BGP4MP|1795442706", "64496 192.0.2.9"
    assert await written(EACH, Format.BGPDUMP) == [
        f"{start}|STATE|192.0.2.1|64500|5|6",
        f"{start}|A|192.0.2.1|64500|203.0.113.0/24|64500 64496 {{4,5}}|IGP|192.0.2.1|100|0|64500:1 no-export|AG|{by}|",
        f"{start}|W|192.0.2.1|64500|203.0.113.0/24",
        f"{start}|STATE|192.0.2.1|64500|6|1",
    ]
    with_path_id = [one.model_copy(update={"path_id": 7}) for one in (ENTRY, GONE)]
    announce, withdraw = await written(with_path_id, Format.BGPDUMP)
    assert announce.split("|")[5:8] == ["203.0.113.0/24", "7", ENTRY.as_path]
    assert withdraw.split("|")[5:] == ["203.0.113.0/24", "7"]


async def test_bgpreader() -> None:
    start = "|1795442706.007000|bgpledger|vm|||64500|192.0.2.1|"
    assert await written(EACH, Format.BGPREADER) == [
        f"U|S{start}|||||OPENCONFIRM|ESTABLISHED",
        f"U|A{start}203.0.113.0/24|192.0.2.1|64500 64496 {{4,5}}|{{4,5}}|64500:1 65535:65281||",
        f"U|W{start}203.0.113.0/24||||||",
        f"U|S{start}|||||ESTABLISHED|IDLE",
    ]


async def test_a_route_that_is_no_prefix() -> None:
    flow = ENTRY.model_copy(update={"prefix": None, "family": "ipv4 flow", "object": {"string": "flow"}})
    assert json.loads(next(csv.DictReader(await written([flow], Format.CSV)))["object"]) == {"string": "flow"}
    assert '{"string": "flow"}' in (await written([flow], Format.TABLE, FoundEntry))[1]


@pytest.mark.parametrize("form", [Format.BGPDUMP, Format.BGPREADER])
async def test_a_gap_is_no_line_of_theirs(form: Format) -> None:
    async def gap() -> AsyncIterator[BaseModel]:
        yield ENTRY.model_copy(update={"event": "gap"})

    stream = io.StringIO()
    await write(gap(), HistoryEntry, form, stream)
    assert stream.getvalue() == ""


async def test_a_long_table_goes_on_in_its_columns() -> None:
    rows = [ENTRY.model_copy(update={"as_path": "64500"})] * 500 + [WHOLE] * 3
    lines = await written(rows, Format.TABLE, FoundEntry)
    assert len(lines) == len(rows) + 2  # what the first part did not say takes a header of its own
    assert sum(line.startswith("time (UTC)") for line in lines) == 2
    for part in (lines[:501], lines[501:]):
        at = part[0].index("prefix")
        assert {line[at : at + 14] for line in part[1:]} == {"203.0.113.0/24"}
    long = [ENTRY.model_copy(update={"as_path": "64500"})] * 600
    lines = await written([ENTRY, *long], Format.TABLE)
    assert len({line.index("igp") for line in lines[1:]}) == 1


async def test_rows_do_not_wait_long_for_others() -> None:
    stream = io.StringIO()
    seen = asyncio.Event()

    async def slowly() -> AsyncIterator[BaseModel]:
        yield ENTRY
        await seen.wait()
        yield SESSION

    writing = asyncio.create_task(write(slowly(), LiveEntry, Format.TABLE, stream))
    await until(lambda: "203.0.113.0/24" in stream.getvalue(), what="the first row")
    seen.set()
    assert await writing == 2
    header, first, second = stream.getvalue().splitlines()
    assert first.index("announce") == second.index("session end") == header.index("event")
