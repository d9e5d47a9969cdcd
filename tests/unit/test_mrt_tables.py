"""Records of RIB dumps: every subtype of TABLE_DUMP and TABLE_DUMP_V2; damage is reported, and never an exception."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.bgp import mrt_tables
from collector.bgp.mrt_header import UnreadableError
from collector.bgp.mrt_messages import MrtPeer
from collector.dumps.reader import BadRecord, Dump, DumpReader, WantedTables
from collector.errors import ReplayError
from tests.mrt_builder import attributes, entry, index, nlri, old_rib, record, rib

T = 1_800_000_000
SAID = attributes(64500, 7)
PEERS = (("192.0.2.1", 64500), ("2001:db8::2", 4_200_000_000))
ALL = WantedTables(lambda _: True, frozenset())


def test_a_peer_index_table_is_read() -> None:
    assert mrt_tables.read_index(index(*PEERS, time=T)) == [MrtPeer(*peer) for peer in PEERS]
    two_bytes = record(13, 1, bytes(4) + b"\0\2id\0\1" + b"\0" + bytes(4) + bytes((192, 0, 2, 9)) + b"\xfb\xf4", T)
    assert mrt_tables.read_index(two_bytes) == [MrtPeer("192.0.2.9", 64500)]
    with pytest.raises(UnreadableError, match="ends within peer 1 of 2"):
        mrt_tables.read_index(index(*PEERS, time=T)[:-1])


@pytest.mark.parametrize(
    ("subtype", "family"),
    [(2, (1, 1)), (3, (1, 2)), (4, (2, 1)), (5, (2, 2)), (8, (1, 1)), (9, (1, 2)), (10, (2, 1)), (11, (2, 2))],
)
def test_each_subtype_of_table_dump_v2_is_read(subtype: int, family: tuple[int, int]) -> None:
    prefix, path_id = "10.0.0.0/9" if family[0] == 1 else "2001:db8::/33", 7 if subtype >= 8 else None
    entries = [entry(SAID, number, originated=T - 5, path_id=path_id) for number in range(2)]
    found = mrt_tables.read_rib(rib(prefix, *entries, time=T, subtype=subtype))
    assert (found.family, found.nlri, found.fault) == (family, nlri(prefix), "")
    assert found.entries == [(0, T - 5, path_id, SAID), (1, T - 5, path_id, SAID)]


RD = b"\0\0\0\1\0\0\0\2"
VPN = bytes((24 + 64 + 24,)) + b"\0\x01\x01" + RD + b"\x0a\0\0"
EVPN = bytes((3, 17)) + bytes(12) + b"\x20\xc0\0\2\1"


@pytest.mark.parametrize("subtype", [6, 12])
@pytest.mark.parametrize(
    ("family", "route"),
    [
        ((1, 128), VPN),
        ((1, 1), nlri("10.0.0.0/8")),
        ((25, 70), EVPN),
        ((1, 133), b"\x03\x02\x08\x0a"),
        ((1, 132), b"\x00"),
        ((16388, 71), b"\0\1\0\3abc"),
        ((1, 5), b"\1\2ab"),
        ((25, 65), b"\0\3abc"),
        ((1, 85), b"\1\0\1\2ab"),
    ],
)
def test_generic_records_are_read(subtype: int, family: tuple[int, int], route: bytes) -> None:
    said = entry(SAID, path_id=9 if subtype == 12 else None)
    body = bytes(4) + struct.pack(">HB", *family) + route + b"\0\1" + said
    found = mrt_tables.read_rib(record(13, subtype, body, T))
    assert (found.family, found.nlri, len(found.entries), found.fault) == (family, route, 1, "")


def test_table_dump_is_read() -> None:
    old = mrt_tables.read_old(old_rib("10.0.0.0/9", SAID, "192.0.2.1", 64500, sequence=3, originated=T - 9, time=T))
    assert (old.peer, old.sequence, old.record.nlri) == (MrtPeer("192.0.2.1", 64500), 3, nlri("10.0.0.0/9"))
    assert old.record.entries == [(0, T - 9, None, SAID)]
    six = mrt_tables.read_old(old_rib("2001:db8::/32", SAID, "2001:db8::1", 7, sequence=0, originated=0, time=T))
    assert six.record.family == (2, 1)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (rib("10.0.0.0/8", entry(SAID), time=T, subtype=13), "subtype 13"),
        (rib("10.0.0.0/8", entry(SAID), time=T)[:17], "ends within its prefix"),
        (rib("10.0.0.0/8", entry(SAID, path_id=1), time=T, subtype=2), "path identifiers"),
        (record(13, 6, bytes(4) + b"\0\1\x63" + nlri("10.0.0.0/8") + b"\0\0", T), "family 1/99"),
    ],
)
def test_damaged_records_are_reported(raw: bytes, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        mrt_tables.read_rib(raw)


def test_the_readable_routes_of_a_damaged_record_are_read() -> None:
    raw = rib("10.0.0.0/8", entry(SAID), entry(SAID, 1), time=T)
    cut = mrt_tables.read_rib(raw[:-1])
    assert (len(cut.entries), cut.fault) == (1, "ends within the attributes of entry 2 of 2")
    longer = mrt_tables.read_rib(raw + b"\0")
    assert (len(longer.entries), longer.fault) == (2, "has 1 bytes after its 2 entries")
    with pytest.raises(UnreadableError, match="ends before its attributes"):
        mrt_tables.read_old(old_rib("10.0.0.0/8", b"", "192.0.2.1", 1, sequence=0, originated=0, time=T)[:-1])


@given(st.binary(max_size=80), st.integers(0, 13))
def test_random_bodies_are_read_or_refused(body: bytes, subtype: int) -> None:
    for read, kind in ((mrt_tables.read_rib, 13), (mrt_tables.read_index, 13), (mrt_tables.read_old, 12)):
        with suppress(UnreadableError):
            read(record(kind, subtype, body, T))


def read(path: Path, *records: bytes) -> list[Dump | BadRecord]:
    path.write_bytes(b"".join(records))
    return list(DumpReader(path, ALL).read())


DUMP = index(*PEERS, time=T) + b"".join(
    rib(f"10.{number}.0.0/16", entry(SAID), entry(attributes(64501, 9), 1), time=T) for number in range(5)
)


@given(st.data())
def test_a_damaged_dump_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    damaged = bytearray(DUMP)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(DUMP) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ReplayError):
        read(tmp_path_factory.getbasetemp() / "damaged", bytes(damaged))


def test_routes_may_be_unordered_and_repeated(tmp_path: Path) -> None:
    routes = [f"10.{number}.0.0/16" for number in (7, 3, 9, 3, 1)]
    ribs = [rib(route, entry(attributes(64500, number)), time=T) for number, route in enumerate(routes)]
    (dump,) = read(tmp_path / "rib", index(*PEERS, time=T), *ribs)
    assert isinstance(dump, Dump)
    names = [key.nlri for _, key, _ in dump.peers[0].table.changes()]
    assert names == ["10.1.0.0/16", "10.3.0.0/16", "10.7.0.0/16", "10.9.0.0/16"]
    assert dump.peers[0].table.twice == 1
    said = [held.facts for _, key, held in dump.peers[0].table.changes() if key.nlri == "10.3.0.0/16"]
    assert b"64500 3" in said[0]
