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
from collections.abc import Iterator
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
# The longest BGP message there is (RFC 8654) and a generous header: what claims to be longer is not a record.
_LONGEST_RECORD: Final = 65_535 + 64
_CHUNK: Final = 256 * 1024


class Peer(NamedTuple):
    """A BGP speaker of the file: the same address with two AS numbers is two peers."""

    address: str
    asn: int


class Message(NamedTuple):
    """One BGP message of the file.

    `as4`: AS numbers in it are four bytes wide (MESSAGE_AS4). `add_path`: its routes carry path identifiers
    (RFC 8050). `local`: the collector that wrote the file sent it; otherwise the peer did.
    """

    record: int
    time: float
    peer: Peer
    data: bytes
    as4: bool
    add_path: bool
    local: bool


class StateChange(NamedTuple):
    """The collector's session with the peer changed state; the numbers are those of RFC 6396 section 4.4.1."""

    record: int
    time: float
    peer: Peer
    old: int
    new: int


Record = Message | StateChange


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


def read(path: Path) -> Iterator[Record]:
    """The BGP messages and state changes of an MRT update file, in the file's order.

    Plain, gzip and bzip2 files are told apart by their first bytes. No more than one chunk is in memory.

    Args:
        path: the file.

    Yields:
        One record each of BGP4MP and BGP4MP_ET; records are numbered from 1.

    Raises:
        ReplayError: the file cannot be read, is no MRT update file, or is cut or damaged; file, record and the
            offset in the unpacked file are named.
    """
    return _Reader(path).records()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._record = 0
        self._offset = 0
        self._peers: dict[bytes, Peer] = {}

    def records(self) -> Iterator[Record]:
        for kind, subtype, time, body in self._frames():
            if kind == _BGP4MP_ET:
                if len(body) < 4:
                    self._damaged("has no room for its microseconds")
                yield self._bgp4mp(subtype, time + int.from_bytes(body[:4]) / 1_000_000, body[4:])
            else:
                yield self._bgp4mp(subtype, time, body)

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
        if kind in (_TABLE_DUMP, _TABLE_DUMP_V2):
            raise ReplayError(
                f"{self._path} is a RIB dump (MRT TABLE_DUMP): a table at one moment, not the messages that made it",
                "Replay an update file, such as RIS and RouteViews publish every 5 or 15 minutes as updates.*.",
            )
        if kind not in (_BGP4MP, _BGP4MP_ET):
            self._not_understood(f"is of MRT type {kind}, not BGP4MP (16) or BGP4MP_ET (17)")
        if length > _LONGEST_RECORD:
            self._not_understood(f"claims a length of {length} bytes, more than any BGP message has")

    def _bgp4mp(self, subtype: int, time: float, body: bytes) -> Record:
        form = _SUBTYPES.get(subtype)
        if form is None:
            self._damaged(f"is of BGP4MP subtype {subtype}, which is none of RFC 6396 or RFC 8050")
        layout = self._layout_of(form.as4, body)
        peer = self._peer(layout, body)
        if form.message:
            data = body[layout.payload_at :]
            self._check_message(data)
            return Message(self._record, time, peer, data, form.as4, form.add_path, form.local)
        if len(body) != layout.payload_at + 4:
            self._damaged("is a state change without its two states")
        old, new = struct.unpack_from(">HH", body, layout.payload_at)
        return StateChange(self._record, time, peer, old, new)

    def _layout_of(self, as4: bool, body: bytes) -> _Layout:
        afi_at = 10 if as4 else 6
        afi = int.from_bytes(body[afi_at : afi_at + 2])
        layout = _LAYOUTS.get((as4, afi))
        if layout is None:
            self._damaged(f"has peers of address family {afi}, not IPv4 (1) or IPv6 (2)")
        if len(body) < layout.payload_at:
            self._damaged("ends before the addresses of its peers do")
        return layout

    def _peer(self, layout: _Layout, body: bytes) -> Peer:
        key = body[: layout.as_width] + body[layout.address_at : layout.address_end]
        peer = self._peers.get(key)
        if peer is None:
            address = socket.inet_ntop(layout.family, key[layout.as_width :])
            peer = self._peers[key] = Peer(address, int.from_bytes(key[: layout.as_width]))
        return peer

    def _check_message(self, data: bytes) -> None:
        if len(data) < _SHORTEST_MESSAGE or not data.startswith(_MARKER):
            self._damaged("holds no BGP message: the marker of RFC 4271 section 4.1 is not there")
        length = int.from_bytes(data[16:18])
        if length != len(data):
            self._damaged(f"holds a BGP message of {length} bytes in {len(data)}")

    def _not_understood(self, what: str) -> NoReturn:
        # In the first record it never was an MRT file; later it was one until here.
        if not self._record:
            raise self._no_mrt(f"its first record {what}")
        self._record += 1
        self._damaged(what)

    def _no_mrt(self, why: str) -> ReplayError:
        return ReplayError(
            f"{self._path} is not an MRT update file: {why}",
            "Give an MRT update file (BGP4MP), plain, .gz or .bz2; `bgpdump FILE` tells what it holds.",
        )

    def _damaged(self, what: str) -> NoReturn:
        raise ReplayError(
            f"{self._path}: record {self._record} at offset {self._offset} {what}",
            "The file is damaged, or no MRT update file: get it again.",
        )

    def _cut(self, there: int) -> NoReturn:
        if not self._record and there < _RECORD_HEADER.size:
            raise self._no_mrt(f"it is {there} bytes long")
        raise ReplayError(
            f"{self._path} is cut short: record {self._record + 1} at offset {self._offset} ends after {there} bytes",
            "The file is not whole: get it again.",
        )

    def _unpackable(self, why: str) -> NoReturn:
        raise ReplayError(
            f"{self._path} cannot be unpacked after record {self._record} at offset {self._offset}: {why}",
            "The file is cut or damaged: get it again.",
        ) from None
