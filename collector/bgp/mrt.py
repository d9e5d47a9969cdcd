"""Reads the BGP messages of an MRT file (RFC 6396, RFC 8050), each with its exact bytes, as a stream.

Only the framing is understood here: who sent a message, when, and in which encoding. What stands inside
a message is another file's matter. Why no existing reader serves: docs/decisions/0001-mrt-reader.md.
"""

from __future__ import annotations

import bz2
import gzip
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from collector.errors import ReplayError

# MRT types, RFC 6396 section 4.
_TABLE_DUMP: Final = 12
_TABLE_DUMP_V2: Final = 13
_BGP4MP: Final = 16
_BGP4MP_ET: Final = 17

_RECORD_HEADER: Final = struct.Struct(">IHHI")
_MARKER: Final = b"\xff" * 16
_SHORTEST_MESSAGE: Final = 19
# The longest BGP message there is (RFC 8654) and a generous header; records of other types (a prefix of a table with
# the routes of many peers) may be longer. What claims to be longer still is not a record: behind it nothing is found.
_LONGEST_RECORD: Final = 65_535 + 64
_LONGEST_OTHER: Final = 2**24
_CHUNK: Final = 256 * 1024


class MrtPeer(NamedTuple):
    """A BGP speaker of the file: the same address with two AS numbers is two peers."""

    address: str
    asn: int


class MrtMessage(NamedTuple):
    """One BGP message of the file.

    `as4`: AS numbers in it are four bytes wide (MESSAGE_AS4). `add_path`: its routes carry path identifiers
    (RFC 8050). `local`: the collector that wrote the file sent it; otherwise the peer did.
    """

    record: int
    time: float
    peer: MrtPeer
    data: bytes
    as4: bool
    add_path: bool
    local: bool


class MrtStateChange(NamedTuple):
    """The collector's session with the peer changed state; the numbers are those of RFC 6396 section 4.4.1."""

    record: int
    time: float
    peer: MrtPeer
    old: int
    new: int


Record = MrtMessage | MrtStateChange

LeaveOut = Callable[[int, str], None]
"""Is told of a record that is left out: its number, and what is wrong with it (`has peers of address family 0`)."""


# What may stand in an old or mixed file: RFC 6396 section 4 and appendix B, and IANA's registry.
_TYPES: Final = {
    5: "BGP",
    6: "RIP",
    7: "IDRP",
    8: "RIPNG",
    9: "BGP4PLUS",
    10: "BGP4PLUS_01",
    11: "OSPFv2",
    12: "TABLE_DUMP",
    13: "TABLE_DUMP_V2",
    16: "BGP4MP",
    17: "BGP4MP_ET",
    32: "ISIS",
    33: "ISIS_ET",
    48: "OSPFv3",
    49: "OSPFv3_ET",
}


def _named(kind: int) -> str:
    return f"{_TYPES[kind]} ({kind})" if kind in _TYPES else str(kind)


class _Subtype(NamedTuple):
    as4: bool
    message: bool = True
    add_path: bool = False
    local: bool = False


# RFC 6396 section 4.4 and RFC 8050 section 3.
_SUBTYPES: Final = {
    0: _Subtype(as4=False, message=False),
    1: _Subtype(as4=False),
    4: _Subtype(as4=True),
    5: _Subtype(as4=True, message=False),
    6: _Subtype(as4=False, local=True),
    7: _Subtype(as4=True, local=True),
    8: _Subtype(as4=False, add_path=True),
    9: _Subtype(as4=True, add_path=True),
    10: _Subtype(as4=False, add_path=True, local=True),
    11: _Subtype(as4=True, add_path=True, local=True),
}


class _Layout(NamedTuple):
    """Where the fields of a BGP4MP record stand: two AS numbers, interface, family, two addresses."""

    as_width: int
    family: socket.AddressFamily
    address_at: int
    address_end: int
    payload_at: int


def _layout(as_width: int, family: socket.AddressFamily, address_width: int) -> _Layout:
    address_at = 2 * as_width + 4
    return _Layout(as_width, family, address_at, address_at + address_width, address_at + 2 * address_width)


_LAYOUTS: Final = {
    (as4, afi): _layout(4 if as4 else 2, family, width)
    for as4 in (False, True)
    for afi, family, width in ((1, socket.AF_INET, 4), (2, socket.AF_INET6, 16))
}


def read(path: Path, leave_out: LeaveOut = lambda _record, _what: None) -> Iterator[Record]:
    """The BGP messages and state changes of an MRT update file, in the file's order.

    Plain, gzip and bzip2 files are told apart by their first bytes. No more than one chunk is in memory. A record that
    is of another type, or damaged within its length, is left out, and those behind it are read.

    Args:
        path: the file.
        leave_out: is told of each record that is left out.

    Yields:
        One record each of BGP4MP and BGP4MP_ET; records are numbered from 1.

    Raises:
        ReplayError: the file cannot be read, or holds no BGP4MP at all.
        CutError: it is cut, or damaged so that the next record cannot be found; all records before have been yielded.
            File, record and the offset in the unpacked file are named.
    """
    return _Reader(path, leave_out).records()


class CutError(ReplayError):
    """The file is cut, or damaged so that the next record cannot be found; all before were yielded."""


class _UnreadableError(Exception):
    """A record that is none, of a length that is known."""


class _Reader:
    def __init__(self, path: Path, leave_out: LeaveOut) -> None:
        self._path = path
        self._leave_out = leave_out
        self._record = 0
        self._offset = 0
        self._yielded = False
        self._first_fault = ""
        self._tables = 0
        self._peers: dict[bytes, MrtPeer] = {}

    def records(self) -> Iterator[Record]:
        for kind, subtype, time, body in self._frames():
            try:
                record = self._read(kind, subtype, time, body)
            except _UnreadableError as fault:
                self._skip(str(fault))
                continue
            self._yielded = True
            yield record
        if not self._yielded:
            self._nothing_at_all()

    def _read(self, kind: int, subtype: int, time: int, body: bytes) -> Record:
        if kind == _BGP4MP:
            return self._bgp4mp(subtype, time, body)
        if kind == _BGP4MP_ET:
            if len(body) < 4:
                raise _UnreadableError("has no room for its microseconds")
            return self._bgp4mp(subtype, time + int.from_bytes(body[:4]) / 1_000_000, body[4:])
        self._tables += kind in (_TABLE_DUMP, _TABLE_DUMP_V2)
        raise _UnreadableError(f"is of MRT type {_named(kind)}, not BGP4MP (16) or BGP4MP_ET (17)")

    def _skip(self, what: str) -> None:
        if self._tables > 1 and not self._yielded:
            self._nothing_at_all()  # a whole table is not worth reading to its end
        self._first_fault = self._first_fault or f"record {self._record} at offset {self._offset} {what}"
        self._leave_out(self._record, what)

    def _nothing_at_all(self) -> NoReturn:
        if self._tables:
            raise ReplayError(
                f"{self._path} is a RIB dump (MRT TABLE_DUMP): a table at one moment, not the messages that made it",
                "Replay an update file, such as RIS and RouteViews publish every 5 or 15 minutes as updates.*.",
            )
        raise self._no_mrt(f"nothing in it can be read; {self._first_fault}")

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, subtype, seconds and body of each record."""
        rest = b""
        for chunk in self._chunks():
            buffer = rest + chunk
            at = 0
            while len(buffer) - at >= _RECORD_HEADER.size:
                time, kind, subtype, length = _RECORD_HEADER.unpack_from(buffer, at)
                self._check_header(kind, length)
                end = at + _RECORD_HEADER.size + length
                if end > len(buffer):
                    break
                self._record += 1
                yield kind, subtype, time, buffer[at + _RECORD_HEADER.size : end]
                self._offset += end - at
                at = end
            rest = buffer[at:]
        if rest or not self._record:
            self._cut(len(rest))

    def _chunks(self) -> Iterator[bytes]:
        try:
            with self._open() as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except EOFError:
            self._unpackable("it ends in the middle of the compressed data")
        except (gzip.BadGzipFile, zlib.error) as error:
            self._unpackable(str(error))
        except OSError as error:
            # bz2 has no error of its own: damaged data is an OSError without a number.
            if error.errno is None:
                self._unpackable(str(error))
            raise ReplayError(
                f"{self._path} cannot be read: {error.strerror}", "Check the path and its permissions."
            ) from None

    def _open(self) -> BufferedIOBase:
        with self._path.open("rb") as plain:
            magic = plain.read(3)
        if magic.startswith(b"\x1f\x8b"):
            return gzip.open(self._path, "rb")
        if magic == b"BZh":
            return bz2.open(self._path, "rb")
        return self._path.open("rb")

    def _check_header(self, kind: int, length: int) -> None:
        if length <= (_LONGEST_RECORD if kind in (_BGP4MP, _BGP4MP_ET) else _LONGEST_OTHER):
            return
        what = f"is of MRT type {_named(kind)} and claims a length of {length} bytes, more than any has"
        # In the first record it never was an MRT file; later it was one until here.
        if not self._record:
            raise self._no_mrt(f"its first record {what}")
        raise CutError(
            f"{self._path}: record {self._record + 1} at offset {self._offset} {what}: nothing behind it can be read",
            "The file is damaged: get it again.",
        )

    def _bgp4mp(self, subtype: int, time: float, body: bytes) -> Record:
        form = _SUBTYPES.get(subtype)
        if form is None:
            raise _UnreadableError(f"is of BGP4MP subtype {subtype}, which is none of RFC 6396 or RFC 8050")
        layout = self._layout_of(form.as4, body)
        peer = self._peer(layout, body)
        if form.message:
            data = body[layout.payload_at :]
            self._check_message(data)
            return MrtMessage(self._record, time, peer, data, form.as4, form.add_path, form.local)
        if len(body) != layout.payload_at + 4:
            raise _UnreadableError("is a state change without its two states")
        old, new = struct.unpack_from(">HH", body, layout.payload_at)
        return MrtStateChange(self._record, time, peer, old, new)

    def _layout_of(self, as4: bool, body: bytes) -> _Layout:
        afi_at = 10 if as4 else 6
        afi = int.from_bytes(body[afi_at : afi_at + 2])
        layout = _LAYOUTS.get((as4, afi))
        if layout is None:
            raise _UnreadableError(f"has peers of address family {afi}, not IPv4 (1) or IPv6 (2)")
        if len(body) < layout.payload_at:
            raise _UnreadableError("ends before the addresses of its peers do")
        return layout

    def _peer(self, layout: _Layout, body: bytes) -> MrtPeer:
        key = body[: layout.as_width] + body[layout.address_at : layout.address_end]
        peer = self._peers.get(key)
        if peer is None:
            address = socket.inet_ntop(layout.family, key[layout.as_width :])
            peer = self._peers[key] = MrtPeer(address, int.from_bytes(key[: layout.as_width]))
        return peer

    def _check_message(self, data: bytes) -> None:
        if len(data) < _SHORTEST_MESSAGE or not data.startswith(_MARKER):
            raise _UnreadableError("holds no BGP message: the marker of RFC 4271 section 4.1 is not there")
        length = int.from_bytes(data[16:18])
        if length != len(data):
            raise _UnreadableError(f"holds a BGP message of {length} bytes in {len(data)}")

    def _no_mrt(self, why: str) -> ReplayError:
        return ReplayError(
            f"{self._path} is not an MRT update file: {why}",
            "Give an MRT update file (BGP4MP), plain, .gz or .bz2; `bgpdump FILE` tells what it holds.",
        )

    def _cut(self, there: int) -> NoReturn:
        if not self._record and there < _RECORD_HEADER.size:
            raise self._no_mrt(f"it is {there} bytes long")
        raise CutError(
            f"{self._path} is cut short: record {self._record + 1} at offset {self._offset} ends after {there} bytes",
            "The file is not whole: get it again.",
        )

    def _unpackable(self, why: str) -> NoReturn:
        raise CutError(
            f"{self._path} cannot be unpacked after record {self._record} at offset {self._offset}: {why}",
            "The file is cut or damaged: get it again.",
        ) from None
