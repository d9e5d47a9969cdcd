"""An export contains what is stored: the parts that `search` gives, and decoded again, the same documents."""

import io
import subprocess
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId

from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.bgp import messages as bgp
from collector.bgp import mrt, mrt_messages
from collector.bgp.mrt_messages import MrtMessage
from collector.bgp.notifications import ADMINISTRATIVE_RESET, CEASE, notification
from collector.dumps.importer import DumpImporter
from collector.export.mrt import write_updates
from collector.export.pcap import CaptureWriter
from collector.export.summary import ExportSummary
from collector.export.table_dump import TableWriter
from collector.query.filter_text import parse_filter
from collector.query.messages import StoredMessage, messages
from collector.query.rib import RibQuery
from collector.query.search import search
from collector.query.table import table
from collector.rib import pages, snapshots
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from schemas.peer import name_order
from tests.mrt_builder import announcement, announcement6, message, nlri, state_change, withdrawal
from tests.support import program

T = 1_800_000_000
NOT_THE_SAME = ("_id", "session", "collector", "line", "until_line")


def several(*prefixes: str) -> bytes:
    """An UPDATE that announces some prefixes."""
    whole = announcement("10.255.0.0/16", 64500, 9)
    return bgp.message(bgp.UPDATE, whole[19:-3] + b"".join(map(nlri, prefixes)))


FILE = (
    state_change(5, 6, time=T),
    state_change(5, 6, time=T, address="2001:db8::2", asn=64501),
    message(announcement("10.0.0.0/8", 64500, 7), time=T + 1.25),
    message(several("10.1.0.0/16", "10.2.0.0/16", "192.0.2.0/24"), time=T + 2),
    message(announcement6("2001:db8::/32", 64501, 8), time=T + 2, address="2001:db8::2", asn=64501),
    message(announcement("10.9.0.0/16", 64502, path_id=4), time=T + 2, address="192.0.2.3", asn=64502, subtype=9),
    message(withdrawal("10.0.0.0/8"), time=T + 3),
    message(bgp.KEEPALIVE, time=T + 3),
    message(bgp.message(bgp.UPDATE, bytes(4)), time=T + 3.5),
    message(notification(CEASE, ADMINISTRATIVE_RESET), time=T + 4),
    message(bgp.KEEPALIVE, time=T + 4, subtype=7),
    state_change(6, 1, time=T + 4),
    state_change(6, 3, time=T + 4, address="2001:db8::2", asn=64501),
    state_change(3, 4, time=T + 5),
    state_change(6, 1, time=T + 5, address="192.0.2.9", asn=64509),
)


async def imported(store: Store, path: Path, *records: bytes, collector: str = "one") -> None:
    path.write_bytes(b"".join(records))
    await Importer(store, source=MRT, collector=collector, selection=Selection()).take(path)


async def written(store: Store, **texts: str) -> tuple[bytes, ExportSummary]:
    stream = io.BytesIO()
    told = await write_updates(messages(store, parse_filter(texts)), stream)
    return stream.getvalue(), told


async def documents(store: Store, collector: str) -> dict[str, list[Any]]:
    found = {}
    for name in ("updates", "messages", "sessions", "rejects"):
        every = [one async for one in store.find(name, {"collector": collector}, sort=[("_id", 1)])]
        found[name] = [{key: value for key, value in one.items() if key not in NOT_THE_SAME} for one in every]
    return found


async def test_what_is_written_is_read_as_the_same_documents(tmp_path: Path, store: Store) -> None:
    await imported(store, tmp_path / "first", *FILE)
    data, told = await written(store)
    assert (told.records, told.messages, told.without) == (len(FILE), {}, {})
    (tmp_path / "again").write_bytes(data)
    # Of a session that was not heard to begin, the other end is not stored.
    assert [(one[1:3], *one[4:]) for one in mrt.read(tmp_path / "again")] == [
        (one[1:3], *one[4:]) for one in map(mrt_messages.parse, FILE)
    ]
    await imported(store, tmp_path / "second", data, collector="two")
    assert await documents(store, "two") == await documents(store, "one")


FILTERS: Sequence[dict[str, str]] = (
    {"prefix": "10.1.0.0/16"},
    {"prefix": "10.0.0.0/8", "match": "more_specific"},
    {"prefix": "!10.0.0.0/8"},
    {"peer": "192.0.2.1"},
    {"peer_asn": "64501"},
    {"origin": "7"},
    {"origin": "9,8"},
    {"as_path": "_9$"},
    {"elem": "announce"},
    {"elem": "withdraw"},
    {"elem": "session"},
    {"start": str(T + 2), "end": str(T + 3)},
    {"family": "ipv6"},
    {},
)


@pytest.mark.parametrize("texts", FILTERS, ids=str)
async def test_filters_let_through_what_search_gives(tmp_path: Path, store: Store, texts: dict[str, str]) -> None:
    await imported(store, tmp_path / "first", *FILE)
    asked = parse_filter(texts)
    wanted = [
        (one.ts, one.event, one.prefix, one.path_id)
        async for one in search(store, asked)
        if one.event in ("announce", "withdraw")
    ]
    found = []
    async for one in messages(store, asked):
        if isinstance(one, StoredMessage) and "kind" not in one.document:
            for event in ("withdraw", "announce"):
                for group in one.document.get(event, ()):  # type: ignore[attr-defined]
                    found += [(one.ts, event, prefix, group.get("path_id")) for prefix in group["nlri"]]
    assert found == wanted
    _, told = await written(store, **texts)
    assert (not told.records) == (not wanted and texts.get("elem") != "session")


async def test_messages_beside_updates_are_left_out_where_routes_are_asked_for(tmp_path: Path, store: Store) -> None:
    await imported(store, tmp_path / "first", *FILE)
    data, told = await written(store, prefix="192.0.2.0/24")
    assert told.records == 1
    record = mrt_messages.parse(data)
    assert isinstance(record, MrtMessage)
    assert record.data == several("192.0.2.0/24")


async def dumped(store: Store, **texts: str) -> tuple[bytes, ExportSummary]:
    stream = io.BytesIO()
    at = datetime.fromtimestamp(T + 2.5, UTC)
    writer = TableWriter(at, stream)
    asked = parse_filter(texts)
    routes = table(store, RibQuery(at=at), asked, on_peers=writer.set_peers)
    told = await writer.write(routes)
    return stream.getvalue(), told


async def test_what_we_sent_is_exported_as_sent_by_us(tmp_path: Path, store: Store) -> None:
    await imported(store, tmp_path / "first", *FILE[:3])
    (said,) = [one async for one in store.find("updates", {})]
    route = {"family": "ipv4 unicast", "nlri": ["203.0.113.0/24"], "next_hop": "192.0.2.254"}
    attributes = {"origin": "igp", "as_path": "64999", "communities": ["64999:1"]}
    told = {**said, "kind": "sent_update", "announce": [route], "attributes": attributes}
    await store.insert("messages", [{**told, "_id": ObjectId(), "ts": said["ts"].replace(second=2)}])
    data, summary = await written(store)
    assert (summary.messages, summary.without) == ({}, {})
    assert subtypes(data) == [5, 5, 4, 7]  # BGP4MP_MESSAGE_AS4_LOCAL, RFC 6396 4.4.6
    (tmp_path / "ours").write_bytes(data)
    read = subprocess.run(
        [program("bgpdump"), "-m", str(tmp_path / "ours")], capture_output=True, text=True, check=True
    )
    (line,) = [line for line in read.stdout.splitlines() if "203.0.113.0/24" in line]
    assert line.endswith("|A|192.0.2.1|64500|203.0.113.0/24|64999|IGP|192.0.2.254|0|0|64999:1|NAG||")
    without, _ = await written(store, prefix="203.0.113.0/24")
    assert not without, "no peer has announced it"
    capture = io.BytesIO()
    await CaptureWriter(capture).write(messages(store, parse_filter({})))
    (tmp_path / "ours.pcap").write_bytes(capture.getvalue())
    fields = ["-Y", "bgp.type == 2", "-T", "fields", "-e", "ip.src", "-e", "bgp.nlri_prefix"]
    seen = [program("tshark"), "-r", str(tmp_path / "ours.pcap"), *fields]
    lines = subprocess.run(seen, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t") for line in lines] == [["192.0.2.1", "10.0.0.0"], ["0.0.0.0", "203.0.113.0"]]


def subtypes(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        found.append(int.from_bytes(data[at + 6 : at + 8]))
        at += 12 + int.from_bytes(data[at + 8 : at + 12])
    return found


async def tables(store: Store) -> list[Any]:
    """Each peer's stored table of a dump, route by route."""
    found = []
    async for one in snapshots.every(store, {"dump": {"$exists": True}}):
        routes = [item for part in one.parts for item in await routes_of(store, part.key)]
        found.append((one.peer, one.ts, one.routes, one.standing, routes))
    return sorted(found, key=lambda one: name_order(one[0].name))


async def routes_of(store: Store, part: ObjectId) -> list[Any]:
    (document,) = [one async for one in store.find("snapshot_parts", {"_id": part})]
    return [(key, held.since, bson.decode(held.facts)) for key, held in pages.unpack(document["routes"])]


async def test_a_dump_that_is_written_is_read_as_the_same_tables(
    tmp_path: Path, store: Store, embedded_uri: str
) -> None:
    await imported(store, tmp_path / "first", *FILE)
    (tmp_path / "dump").write_bytes((await dumped(store))[0])
    found = []
    for _ in range(2):
        async with Store.open(embedded_uri, database=f"test_{uuid.uuid4().hex}") as other:
            importer = DumpImporter(other, source=MRT, collector="rrc", selection=Selection())
            await importer.take(tmp_path / "dump")
            found.append(await tables(other))
            (tmp_path / "dump").write_bytes((await dumped(other))[0])
    assert [len(one) for one in found] == [3, 3]
    assert found[0] == found[1]


VPN = bytes.fromhex("68000641" + "00010a0000010007" + "0a03")
"""10.3.0.0/16 with a label and a route distinguisher."""


def announcement_of(afi: int, safi: int, hop: bytes, routes: bytes) -> bytes:
    reach = afi.to_bytes(2) + bytes((safi, len(hop))) + hop + b"\0" + routes
    attributes = bytes.fromhex("40010100" + "400200") + bytes((0x80, 14, len(reach))) + reach
    return bgp.message(bgp.UPDATE, b"\0\0" + len(attributes).to_bytes(2) + attributes)


async def test_a_dump_has_the_subtype_of_each_family(tmp_path: Path, store: Store) -> None:
    flow = message(announcement_of(1, 133, b"", bytes.fromhex("060120c6336401")), time=T + 2)
    node = bytes.fromhex("0001001f02000000000000000001000012020000040000fbf402030006010000000001")
    links = message(announcement_of(16388, 71, b"\xc0\0\2\1", node), time=T + 2)
    vpn = message(announcement_of(1, 128, bytes(8) + b"\xc0\0\2\1", VPN), time=T + 2)
    await imported(store, tmp_path / "first", *FILE[:6], flow, vpn, links, *FILE[6:])
    data, told = await dumped(store)
    # By address, so that 10.3.0.0/16 of the VPN stands between; then what is no prefix.
    assert subtypes(data) == [1, 2, 2, 2, 6, 8, 2, 4, 6, 6]
    assert not told.messages
    assert VPN in data
    assert node in data
    (tmp_path / "dump").write_bytes(data)
    dumped_by = [program("bgpdump"), "-m", str(tmp_path / "dump")]  # it skips RIB_GENERIC
    lines = subprocess.run(dumped_by, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("|")[0] for line in lines] == ["TABLE_DUMP2"] * 3 + ["TABLE_DUMP2_AP"] + ["TABLE_DUMP2"] * 2


@pytest.mark.parametrize(
    ("texts", "prefixes"),
    [
        ({"prefix": "10.1.0.0/16"}, 1),
        ({"prefix": "10.0.0.0/8", "match": "more_specific"}, 4),
        ({"prefix": "10.1.0.0/16", "match": "less_specific"}, 2),
        ({"prefix": "10.1.0.0/16,10.2.0.0/16"}, 2),
        ({"prefix": "!10.1.0.0/16"}, 5),
        ({"origin": "9"}, 3),
        ({"peer": "192.0.2.3"}, 1),
        ({"family": "ipv6"}, 1),
    ],
    ids=str,
)
async def test_filters_let_through_what_rib_gives(
    tmp_path: Path, store: Store, texts: dict[str, str], prefixes: int
) -> None:
    await imported(store, tmp_path / "first", *FILE)
    data, told = await dumped(store, **texts)
    assert told.records == 1 + prefixes
    assert subtypes(data)[0] == 1
