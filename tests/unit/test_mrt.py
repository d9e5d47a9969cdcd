"""The MRT reader: every kind of record and compression; any damage is a ReplayError that says where."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.bgp import messages as bgp
from collector.bgp import mrt, mrt_messages
from collector.bgp.mrt_messages import MrtMessage, MrtPeer, MrtStateChange
from collector.errors import ReplayError
from tests.bmp_builder import initiation
from tests.mrt_builder import message, open_peer, record, state_change
from tests.support import shared

KEEPALIVE = bgp.KEEPALIVE
PACKERS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.ZstdCompressor().compress,
]
COLLECTOR = MrtPeer("0.0.0.0", 64510)


def read(path: Path, data: bytes) -> list[mrt_messages.Record]:
    path.write_bytes(data)
    return list(mrt.read(path))


@pytest.mark.parametrize("pack", PACKERS)
def test_a_message_comes_out_with_its_exact_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    update = bgp.message(bgp.UPDATE, b"\0\0\0\0")
    # The first bytes show the compression, not the name of the file.
    found = read(tmp_path / "updates.bz2", pack(message(update, address="192.0.2.1", asn=64500, time=1_700_000_000)))
    assert found == [
        MrtMessage(
            *(1, 1_700_000_000, MrtPeer("192.0.2.1", 64500), COLLECTOR, update),
            as4=True,
            add_path=False,
            local=False,
        )
    ]


@pytest.mark.parametrize(
    ("subtype", "as4", "add_path", "local"),
    [
        (1, False, False, False),
        (4, True, False, False),
        (6, False, False, True),
        (7, True, False, True),
        (8, False, True, False),
        (9, True, True, False),
        (10, False, True, True),
        (11, True, True, True),
    ],
)
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_each_subtype_of_bgp4mp_is_read(
    tmp_path: Path, subtype: int, as4: bool, add_path: bool, local: bool, address: str
) -> None:
    (found,) = read(tmp_path / "f", message(KEEPALIVE, subtype=subtype, address=address, asn=64500))
    assert isinstance(found, MrtMessage)
    assert (found.as4, found.add_path, found.local) == (as4, add_path, local)
    assert found.peer == (address, 64500)


@pytest.mark.parametrize(("subtype", "asn"), [(0, 64500), (5, 4_200_000_001)])
def test_state_changes_are_read(tmp_path: Path, subtype: int, asn: int) -> None:
    (found,) = read(tmp_path / "f", state_change(6, 1, subtype=subtype, asn=asn))
    assert found == MrtStateChange(1, 0, MrtPeer("192.0.2.1", asn), COLLECTOR, 6, 1)


def test_extended_time_stamps_have_microseconds(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "f", message(KEEPALIVE, time=1_700_000_000.25))
    assert found.time == 1_700_000_000.25


def test_records_longer_than_a_chunk_of_the_file(tmp_path: Path) -> None:
    long = bgp.message(bgp.UPDATE, bytes(65_000))
    found = read(tmp_path / "f", message(long) * 10)
    assert [item.data for item in found if isinstance(item, MrtMessage)] == [long] * 10
    assert [item.record for item in found] == list(range(1, 11))


def test_a_file_that_does_not_begin_with_an_mrt_record_is_refused(tmp_path: Path) -> None:
    strange = record(3338, 0, bytes(20))
    for data, is_mrt in ((strange, False), (strange * 2, False), (strange + message(KEEPALIVE), True)):
        (tmp_path / "f").write_bytes(data)
        with nullcontext() if is_mrt else pytest.raises(ReplayError, match="type 3338, which does not exist"):
            assert mrt.MrtFile(tmp_path / "f").first().raw == strange


@pytest.mark.parametrize("pack", PACKERS)
def test_a_cut_compressed_file_is_read_up_to_its_end(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    chance = random.Random(1)
    records = [message(bgp.message(bgp.UPDATE, chance.randbytes(4_000))) for _ in range(500)]
    packed = pack(b"".join(records))
    (tmp_path / "f").write_bytes(packed[: len(packed) * 3 // 4 - 1])
    found: list[bytes] = []
    with pytest.raises(mrt.CutError):
        found.extend(frame.raw for frame in mrt.MrtFile(tmp_path / "f").frames())
    # With bzip2, whose blocks have 900,000 bytes, the last block cannot be read.
    assert found == records[: len(found)]
    assert len(found) > len(records) * (0.4 if pack is bz2.compress else 0.7)


WHOLE = message(KEEPALIVE) * 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not an MRT file: it is 0 bytes long"),
        (b"hello", "is not an MRT file: it is 5 bytes long"),
        (initiation(), "is not an MRT file: its first record would be of MRT type"),
        (b"#!/bin/sh\nexit 0\n" * 10, "is not an MRT file: its first record is of MRT type"),
        (
            message(KEEPALIVE)[:4] + b"\0\x10\0\4\xff\xff\xff\xff",
            "its first record is of MRT type BGP4MP (16) and claims",
        ),
        (record(13, 1, b""), "is a RIB dump"),
        (record(12, 1, b""), "is a RIB dump"),
        (WHOLE[:-1], "record 3 at offset 102 ends after 50 bytes"),
        (WHOLE + b"\0", "record 4 at offset 153 ends after 1 bytes"),
        (WHOLE + b"\xff" * 12, "record 4 at offset 153 is of MRT type 65535"),
        (WHOLE + b"\0\0\0\0\0\x10\0\4\x7f\0\0\0", "type BGP4MP (16) and claims a length"),
        (record(16, 2, bytes(60)), "record 1 at offset 0 is of BGP4MP subtype 2"),
        (record(16, 4, bytes(60)), "address family 0"),
        (record(16, 4, open_peer("192.0.2.1", 1)[:14]), "ends before the addresses"),
        (record(17, 4, b"\0"), "no room for its microseconds"),
        (record(16, 5, open_peer("192.0.2.1", 1) + b"\0\1"), "state change without its two states"),
        (record(16, 4, open_peer("192.0.2.1", 1) + bytes(19)), "marker"),
        (record(16, 4, open_peer("192.0.2.1", 1) + KEEPALIVE + b"\0"), "a BGP message of 19 bytes in 20"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "cannot be decompressed after record"),
        (gzip.compress(WHOLE, mtime=0)[:10] + b"\xff" * 30, "cannot be decompressed after record 0 at offset 0"),
        (bz2.compress(WHOLE)[:-5], "cannot be decompressed after record"),
        (b"BZh91AY&SY" + b"\0" * 50, "cannot be decompressed after record 0"),
    ],
)
def test_damage_is_reported_with_file_and_position(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ReplayError) as caught:
        read(tmp_path / "updates", data)
    assert words in caught.value.cause
    assert str(tmp_path / "updates") in caught.value.cause
    assert caught.value.cure


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read: No such file"):
        list(mrt.read(tmp_path / "none"))
    with pytest.raises(ReplayError, match="cannot be read: Is a directory"):
        list(mrt.read(tmp_path))


messages = st.builds(
    lambda body, address, asn, subtype, time: (
        message(body, address=address, asn=asn, subtype=subtype, time=time),
        body,
    ),
    st.binary(max_size=300).map(lambda body: bgp.message(bgp.UPDATE, body)),
    st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
    st.integers(0, 2**16 - 1),
    st.sampled_from([1, 4, 6, 7, 8, 9, 10, 11]),
    st.one_of(st.integers(0, 2**32 - 1), st.just(1_700_000_000.5)),
)
one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@one_file
@given(st.lists(messages, min_size=1, max_size=20), st.sampled_from(PACKERS))
def test_all_messages_are_read_in_order(
    tmp_path: Path, built: list[tuple[bytes, bytes]], pack: Callable[[bytes], bytes]
) -> None:
    found = read(tmp_path / "f", pack(b"".join(data for data, _ in built)))
    assert [item.data for item in found if isinstance(item, MrtMessage)] == [body for _, body in built]


@one_file
@given(st.lists(messages, min_size=1, max_size=8), st.data())
def test_records_around_a_bad_one_are_read(
    tmp_path: Path, built: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """The record has a wrong type, or a body of other bytes; its length is right, so only this record is left out."""
    at = data.draw(st.integers(0, len(built)))
    kind = data.draw(st.sampled_from([0, 5, 11, 16, 17, 32, 48, 999]))
    bad = record(kind, data.draw(st.integers(12, 2**16 - 1)), data.draw(st.binary(max_size=300)))
    parts = [one for one, _ in built]
    (tmp_path / "f").write_bytes(b"".join([*parts[:at], bad, *parts[at:]]))
    left_out: list[int] = []
    found = list(mrt.read(tmp_path / "f", lambda number, _: left_out.append(number)))
    assert [item.data for item in found if isinstance(item, MrtMessage)] == [body for _, body in built]
    assert left_out == [at + 1]


@one_file
@given(st.lists(messages, min_size=2, max_size=8), st.data())
def test_records_before_a_cut_are_read(tmp_path: Path, built: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = b"".join(one for one, _ in built)
    end = data.draw(st.integers(len(built[0][0]), len(whole) - 1))
    (tmp_path / "f").write_bytes(whole[:end])
    found: list[mrt_messages.Record] = []
    with suppress(mrt.CutError):
        for item in mrt.read(tmp_path / "f"):
            found.append(item)  # noqa: PERF402  # what came before the error counts
    ends = [sum(len(one) for one, _ in built[: number + 1]) for number in range(len(built))]
    complete = [body for (_, body), stop in zip(built, ends, strict=True) if stop <= end]
    assert [item.data for item in found if isinstance(item, MrtMessage)] == complete


def test_records_of_the_year_2000_are_read(tmp_path: Path) -> None:
    """A state change without peers (address family 0) and records of the type BGP (5) are left out and reported."""
    stateless = record(16, 0, bytes(8) + b"\0\3\0\1")
    (tmp_path / "f").write_bytes(stateless + record(5, 1, bytes(40)) + record(5, 7, b"") + message(KEEPALIVE))
    told: list[tuple[int, str]] = []
    (found,) = mrt.read(tmp_path / "f", lambda number, what: told.append((number, what)))
    assert found.record == 4
    assert told == [
        (1, "has peers of address family 0, not IPv4 (1) or IPv6 (2)"),
        (2, "is of MRT type BGP (5), not BGP4MP (16) or BGP4MP_ET (17)"),
        (3, "is of MRT type BGP (5), not BGP4MP (16) or BGP4MP_ET (17)"),
    ]


@one_file
@given(
    st.one_of(st.binary(max_size=400), st.builds(record, st.sampled_from([16, 17]), st.integers(0, 12), st.binary()))
)
def test_random_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    with suppress(ReplayError):
        read(tmp_path / "f", data)


@one_file
@given(st.data(), st.sampled_from(PACKERS))
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject, pack: Callable[[bytes], bytes]) -> None:
    whole = bytearray(pack(WHOLE))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with suppress(ReplayError):
        read(tmp_path / "f", bytes(whole[: data.draw(st.integers(place, len(whole)))]))


def test_real_files_are_read() -> None:
    found = list(mrt.read(shared("mrt/updates.20160811.1600.gz")))
    assert len(found) == 17_406
    updates = [item for item in found if isinstance(item, MrtMessage) and item.data[18] == bgp.UPDATE]
    assert len(updates) == 17_216
    assert len({item.peer.address for item in updates}) == 35
