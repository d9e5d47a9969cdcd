import asyncio
import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from collector.http.metrics import HTTP_METRICS
from collector.present.formats import write
from collector.present.names import Format
from collector.present.prometheus import METRICS, PEER_METRICS, PEER_PREFIXES, SPOOL_METRICS, STRANGERS
from schemas.attributes import Aggregator, ExtendedCommunity
from schemas.peer import Peer
from schemas.query import FoundEntry, HistoryEntry, LiveEntry, Route, RouteChange, TopEntry
from schemas.status import CollectorStatus, PeerStatus, SpoolStatus
from tests import mrt_builder
from tests.batches import to_write
from tests.support import ROOT, program, until

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


async def written(
    answers: Sequence[BaseModel],
    form: Format,
    kind: type[BaseModel] | None = None,
    *,
    at: datetime | None = None,
    count: int | None = None,
) -> list[str]:
    stream = io.StringIO()
    expected = len(answers) if count is None else count
    assert await write(to_write(answers), kind or type(answers[0]), form, stream, at=at) == expected
    return stream.getvalue().splitlines()


async def test_an_as_that_is_not_known_is_blank_in_a_table() -> None:
    lines = await written([ENTRY.model_copy(update={"peer": Peer(address="192.0.2.1", asn=0)})], "table")
    assert lines[1].split()[2:4] == ["192.0.2.1", "announce"]


async def test_jsonl_has_all_keys_that_scripts_lean_on() -> None:
    (line,) = await written([ENTRY], "jsonl")
    parsed = json.loads(line)
    assert set(KEYS) <= set(parsed)
    assert parsed["ts"] == "2026-11-23T14:05:06.007Z"
    assert parsed["med"] is None


async def test_a_table_in_a_pipe_has_a_line_a_row() -> None:
    header, first, second = await written([ENTRY, ENTRY.model_copy(update={"event": "session_end"})], "table")
    assert "2026-11-23 14:05:06.007" in first
    assert "64500:1 64500:2" in first
    assert "session end" in second
    assert first.index("192.0.2.1") == header.index("peer")
    assert "MED" not in header


async def test_attributes_without_a_column_follow_their_names() -> None:
    _, row = await written([ENTRY.model_copy(update={"link_local": "fe80::1", "otc": 64511})], "table")
    assert "link-local fe80::1, OTC 64511" in row


async def test_a_peer_is_a_row_of_the_table() -> None:
    peer = PeerStatus(address="192.0.2.1", asn=64500, state="up", since=TS, keepalive_age=61.4, updates=3, routes=2)
    _, row = await written([peer], "table")
    assert row.split()[:4] == ["192.0.2.1", "64500", "up", "2026-11-23"]
    assert "0:01:01" in row


async def test_status_is_printed() -> None:
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
        unreadable=0,
        lag_seconds=0,
        spools=[
            SpoolStatus(spool="spool", waiting=0, lag_seconds=0, archiver=7, last_stored=TS),
            SpoolStatus(spool="spool-bmp", waiting=9, lag_seconds=75, archiver=None, last_stored=TS),
        ],
        feed="away",
        feed_since=TS,
        feed_last_message=TS,
        feed_reconnects=3,
        mongodb_uri=None,
        store="MongoDB 8",
        versions={"bgpledger": "1"},
    )
    assert json.loads("".join(await written([status], "json")))["stored"] == 2
    metrics = await written([status.model_copy(update={"read": 123_456_789})], "prometheus")
    assert "bgpledger_lines_read_total 1.23456789e+08" in [line.rstrip() for line in metrics]
    assert "bgpledger_store_up 1.0" in [line.rstrip() for line in metrics]
    assert len(metrics) == 3 * len(METRICS) + 4 * len(SPOOL_METRICS)
    assert 'bgpledger_archiver_up{spool="spool-bmp"} 0.0' in [line.rstrip() for line in metrics]
    assert "bgpledger_feed_up 0.0" in [line.rstrip() for line in metrics]
    unheard = await written([status.model_copy(update={"feed": None})], "prometheus")
    assert not any(line.startswith("bgpledger_feed_up ") for line in unheard)
    check_metrics("\n".join(metrics))
    table = [line.split(maxsplit=1) for line in await written([status], "table")]
    assert ["stored", "2"] in table
    both = "spool: archiver 7; spool-bmp: no archiver, 9 lines wait, the oldest for 0:01:15"
    assert ["spools", both] in table


SAMPLE = re.compile(
    r'([a-z_]+)(?:\{asn="\d+",(?:family="[a-z0-9 ]+",)?peer="[0-9a-f.:]+"\}|\{spool="[a-z0-9-]+"\})?'
    r" -?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
)


def check_metrics(text: str) -> dict[str, int]:
    """The number of samples of each metric; the text must follow the format's grammar: the type, then all samples."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    while lines:
        _, _, name = (lines.pop(0)).split()[:3]
        assert lines.pop(0) in (f"# TYPE {name} counter", f"# TYPE {name} gauge")
        assert name not in found
        found[name] = 0
        while lines and not lines[0].startswith("#"):
            sample = SAMPLE.fullmatch(lines.pop(0))
            assert sample is not None
            assert sample[1] == name
            found[name] += 1
    return found


PEERS = (
    PeerStatus(
        address="192.0.2.1", asn=64500, state="up", since=TS, last_message=TS, last_keepalive=TS, updates=7, routes=5
    ),
    PeerStatus(address="2001:db8::1", asn=4_200_000_000, state="never"),
    PeerStatus(address="192.0.2.2", asn=64501, configured=False, state="down", since=TS),  # taken out
    PeerStatus(address="192.0.2.9", asn=None, state="unconfigured", since=TS, reason="it is refused", reason_at=TS),
)


async def test_each_peer_has_its_metrics() -> None:
    metrics = "\n".join([*await written([*PEERS], "prometheus", CollectorStatus), ""])
    assert check_metrics(metrics) == {
        "bgpledger_peer_up": 2,
        "bgpledger_peer_state_since_timestamp_seconds": 1,
        "bgpledger_peer_routes": 2,
        "bgpledger_peer_updates_total": 2,
        "bgpledger_peer_last_message_timestamp_seconds": 1,
        "bgpledger_unconfigured_routers": 1,
    }
    assert 'bgpledger_peer_up{asn="64500",peer="192.0.2.1"} 1.0' in metrics
    assert 'bgpledger_peer_up{asn="4200000000",peer="2001:db8::1"} 0.0' in metrics
    assert 'bgpledger_peer_updates_total{asn="64500",peer="192.0.2.1"} 7.0' in metrics
    assert "bgpledger_unconfigured_routers 1.0" in metrics


def test_alerts_query_metrics_that_exist() -> None:
    rules = ROOT / "conf/alerts.yml"
    asked = set(re.findall(r"\bbgpledger_[a-z_]+", rules.read_text()))
    assert asked <= {*METRICS, *SPOOL_METRICS, *PEER_METRICS, *HTTP_METRICS, PEER_PREFIXES, STRANGERS}
    assert len(asked) > 8


async def test_promtool_accepts_metrics_and_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus, 100 MB)")
    metrics = "\n".join([*await written([*PEERS], "prometheus", CollectorStatus), ""])
    for command, given in ((["check", "metrics"], metrics), (["check", "rules", ROOT / "conf/alerts.yml"], "")):
        done = subprocess.run([promtool, *command], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


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
        parsed = json.loads("\n".join(await written(answers, "json")))
        assert parsed == [json.loads(answer.model_dump_json()) for answer in answers]


async def test_csv_has_all_keys() -> None:
    rows = list(csv.DictReader(await written(EACH, "csv", FoundEntry)))
    assert {"ts", "peer_address", "peer_asn", *KEYS} - {"peer"} <= set(rows[0])
    assert rows[0]["prefix"] == ""
    assert rows[1]["as_path"] == "64500 64496 {4,5}"
    assert rows[1]["communities"] == "64500:1 65535:65281"
    assert rows[1]["extended_communities"] == "target:64500:1"
    assert rows[1]["aggregator"] == "64496 192.0.2.9"
    assert rows[1]["atomic_aggregate"] == "true"
    assert rows[3]["reason"] == "peer reset"


async def test_psv_has_a_header_and_a_line_for_each_row() -> None:
    header, row = await written(
        [TopEntry(name="1 2", announcements=3, withdrawals=2, flaps=1, malformed=0, path_changes=0)], "psv"
    )
    assert header == "name|announcements|withdrawals|flaps|path_changes|malformed"
    assert row == "1 2|3|2|1|0|0"


async def test_entries_are_printed_as_by_bgpdump() -> None:
    start, by = "BGP4MP|1795442706", "64496 192.0.2.9"
    assert await written(EACH, "bgpdump") == [
        f"{start}|STATE|192.0.2.1|64500|5|6",
        f"{start}|A|192.0.2.1|64500|203.0.113.0/24|64500 64496 {{4,5}}|IGP|192.0.2.1|100|0|64500:1 no-export|AG|{by}|",
        f"{start}|W|192.0.2.1|64500|203.0.113.0/24",
        f"{start}|STATE|192.0.2.1|64500|6|1",
    ]
    with_path_id = [one.model_copy(update={"path_id": 7}) for one in (ENTRY, GONE)]
    announce, withdraw = await written(with_path_id, "bgpdump")
    assert announce.split("|")[:8] == [*start.replace("MP", "MP_AP").split("|"), *of_path("A", ENTRY.as_path)]
    assert withdraw.split("|") == [*start.replace("MP", "MP_AP").split("|"), *of_path("W")]


def of_path(kind: str, *more: str | None) -> list[str | None]:
    return [kind, "192.0.2.1", "64500", "203.0.113.0/24", "7", *more]


async def test_entries_are_printed_as_by_bgpreader() -> None:
    start = "|1795442706.007000|bgpledger|vm|||64500|192.0.2.1|"
    assert await written(EACH, "bgpreader") == [
        f"U|S{start}|||||OPENCONFIRM|ESTABLISHED",
        f"U|A{start}203.0.113.0/24|192.0.2.1|64500 64496 {{4,5}}|{{4,5}}|64500:1 65535:65281||",
        f"U|W{start}203.0.113.0/24||||||",
        f"U|S{start}|||||ESTABLISHED|IDLE",
    ]


ROUTE = Route.model_validate(
    {**WHOLE.model_dump(include=set(Route.model_fields)), "since": TS - timedelta(hours=1), "state": "stands"}
)
FLOW = ROUTE.model_copy(update={"prefix": None, "object": {"string": "flow"}, "family": "ipv4 flow"})
UNKNOWN = Route(peer=ENTRY.peer, prefix="10.0.0.0/8", family="ipv4 unicast", state="unknown", since=TS)
ROUTES = [ROUTE, ROUTE.model_copy(update={"path_id": 7, "state": "stale", "med": 5}), UNKNOWN, FLOW]


async def test_a_table_is_printed_in_bgpdumps_format_with_the_time_asked_for() -> None:
    """Unknown routes and those without a prefix have no line."""
    rest, by = "|1795442706|B|192.0.2.1|64500|203.0.113.0/24|", "64496 192.0.2.9"
    path, values = "64500 64496 {4,5}|IGP|192.0.2.1|100|", f"64500:1 no-export|AG|{by}|"
    assert await written(ROUTES, "bgpdump", at=TS, count=2) == [
        f"TABLE_DUMP2{rest}{path}0|{values}",
        f"TABLE_DUMP2_AP{rest}7|{path}5|{values}",
    ]
    now = datetime.now(UTC).timestamp()
    (line,) = await written([ROUTE], "bgpdump")
    assert now - 1 < int(line.split("|")[1]) < now + 60


@pytest.mark.parametrize("path_id", [None, 7])
async def test_a_table_is_printed_as_by_bgpdump(path_id: int | None, tmp_path: Path) -> None:
    route = ROUTE.model_copy(update={"path_id": path_id, "as_path": "64500 64496", "med": 5})
    attributes = (
        b"\x40\1\1\0"  # ORIGIN
        b"\x40\2\x0a\2\2\0\0\xfb\xf4\0\0\xfb\xf0"  # AS_PATH 64500 64496
        b"\x40\3\4\xc0\0\2\1"  # NEXT_HOP 192.0.2.1
        b"\x80\4\4\0\0\0\5"  # MULTI_EXIT_DISC 5
        b"\x40\5\4\0\0\0\x64"  # LOCAL_PREF 100
        b"\x40\6\0"  # ATOMIC_AGGREGATE
        b"\xc0\7\x08\0\0\xfb\xf0\xc0\0\2\x09"  # AGGREGATOR 64496 192.0.2.9
        b"\xc0\x08\x08\xfb\xf4\0\1\xff\xff\xff\1"  # COMMUNITIES 64500:1 no-export
    )
    peer = route.peer
    file = tmp_path / "table.mrt"
    file.write_bytes(
        mrt_builder.table(
            "203.0.113.0/24", attributes, peer=peer.address, asn=peer.asn, time=TS.timestamp(), path_id=path_id
        )
    )
    read = subprocess.run([program("bgpdump"), "-m", str(file)], capture_output=True, text=True, check=True)
    assert await written([route], "bgpdump", at=TS) == read.stdout.splitlines()


async def test_a_table_is_printed_as_by_bgpreader() -> None:
    line = (
        "R|R|1795442706.007000|bgpledger|vm|||64500|192.0.2.1|203.0.113.0/24|192.0.2.1|64500 64496 {4,5}|{4,5}|"
        "64500:1 65535:65281||"
    )
    assert await written(ROUTES, "bgpreader", at=TS, count=2) == [line, line]


async def test_routes_are_printed_in_all_formats() -> None:
    rows = list(csv.DictReader(await written(ROUTES, "csv")))
    assert set(Route.model_fields) - {"peer"} <= set(rows[0])
    assert [row["state"] for row in rows] == ["stands", "stale", "unknown", "stands"]
    assert rows[0]["communities"] == "64500:1 65535:65281"
    for form in ("json", "psv", "table"):
        assert len(await written(ROUTES, form)) > len(ROUTES)


async def test_changes_are_printed_in_all_formats() -> None:
    change = RouteChange(
        event="changed",
        peer=ROUTE.peer,
        prefix=ROUTE.prefix,
        changed=["med"],
        before=ROUTES[1],
        after=ROUTES[1].model_copy(update={"med": 6}),
    )
    gone = RouteChange(event="went", peer=ROUTE.peer, prefix=ROUTE.prefix, before=ROUTE)
    first, second = csv.DictReader(await written([change, gone], "csv"))
    assert (first["event"], first["changed"], first["before_med"], first["after_med"]) == ("changed", "med", "5", "6")
    assert (second["before_as_path"], second["after_as_path"], second["peer_asn"]) == (ROUTE.as_path, "", "64500")
    header, row, _ = await written([change, gone], "table")
    assert row[header.index("path id") :].split()[0] == "7"
    assert [one["event"] for one in json.loads("".join(await written([change, gone], "json")))] == [
        "changed",
        "went",
    ]


async def test_a_route_without_a_prefix_is_printed() -> None:
    flow = ENTRY.model_copy(update={"prefix": None, "family": "ipv4 flow", "object": {"string": "flow"}})
    assert json.loads(next(csv.DictReader(await written([flow], "csv")))["object"]) == {"string": "flow"}
    assert '{"string": "flow"}' in (await written([flow], "table", FoundEntry))[1]


@pytest.mark.parametrize("form", ["bgpdump", "bgpreader"])
async def test_gaps_have_no_line_in_bgpdumps_and_bgpreaders_formats(form: Format) -> None:
    async def gap() -> AsyncIterator[BaseModel]:
        yield ENTRY.model_copy(update={"event": "gap"})

    stream = io.StringIO()
    await write(gap(), HistoryEntry, form, stream)
    assert stream.getvalue() == ""


async def test_a_long_table_keeps_its_columns() -> None:
    rows = [ENTRY.model_copy(update={"as_path": "64500"})] * 500 + [WHOLE] * 3
    lines = await written(rows, "table", FoundEntry)
    assert len(lines) == len(rows) + 2  # a column that the first part lacked has a header of its own
    assert sum(line.startswith("time (UTC)") for line in lines) == 2
    for part in (lines[:501], lines[501:]):
        at = part[0].index("prefix")
        assert {line[at : at + 14] for line in part[1:]} == {"203.0.113.0/24"}
    long = [ENTRY.model_copy(update={"as_path": "64500"})] * 600
    lines = await written([ENTRY, *long], "table")
    assert len({line.index("igp") for line in lines[1:]}) == 1


async def test_rows_do_not_wait_long_for_others() -> None:
    stream = io.StringIO()
    seen = asyncio.Event()

    async def slowly() -> AsyncIterator[BaseModel]:
        yield ENTRY
        await seen.wait()
        yield SESSION

    writing = asyncio.create_task(write(slowly(), LiveEntry, "table", stream))
    await until(lambda: "203.0.113.0/24" in stream.getvalue(), what="the first row")
    seen.set()
    assert await writing == 2
    header, first, second = stream.getvalue().splitlines()
    assert first.index("announce") == second.index("session end") == header.index("event")
