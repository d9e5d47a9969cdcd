"""Reads an MRT file (RFC 6396, RFC 8050) as a stream of records, each with the exact bytes of its BGP message.

Only the framing is parsed here: who sent a message, when, and in which encoding. Other modules parse the contents.
docs/decisions/0001-mrt-reader.md says why no existing reader is used.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from collector.compression import DamagedError, chunks
from collector.errors import ReplayError

# MRT types, RFC 6396 section 4.
_TABLE_DUMP: Final = 12
_TABLE_DUMP_V2: Final = 13
_BGP4MP: Final = 16
_BGP4MP_ET: Final = 17

_RECORD_HEADER: Final = struct.Struct(">IHHI")
_MARKER: Final = b"\xff" * 16
_SHORTEST_MESSAGE: Final = 19
# The longest BGP message (RFC 8654) and a generous header; records of other types (a prefix in a table, with the routes
# of many peers) may be longer. A record that claims to be even longer is not a record, and the next one cannot be
# found.
_LONGEST_RECORD: Final = 65_535 + 64
_LONGEST_OTHER: Final = 2**24
_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and a file has millions of records."""


class MrtPeer(NamedTuple):
    """A BGP speaker in the file: one address with two AS numbers counts as two peers."""

    address: str
    asn: int


class MrtMessage(NamedTuple):
    """One BGP message of the file.

    `as4`: AS numbers in it are four bytes wide (MESSAGE_AS4). `add_path`: its routes carry path identifiers (RFC 8050).
    `local`: the collector that wrote the file sent it; otherwise the peer did. `collector` is the collector's end of
    the session.
    """

    record: int
    time: float
    peer: MrtPeer
    collector: MrtPeer
    data: bytes
    as4: bool
    add_path: bool
    local: bool


class MrtStateChange(NamedTuple):
    """The collector's session with the peer changed state; the numbers are those of RFC 6396 section 4.4.1."""

    record: int
    time: float
    peer: MrtPeer
    collector: MrtPeer
    old: int
    new: int


Record = MrtMessage | MrtStateChange

LeaveOut = Callable[[int, str], None]
"""Called with a record that is skipped: its number, and the reason (`has peers of address family 0`)."""


# Types that may occur in an old or mixed file: RFC 6396 section 4 and appendix B, and IANA's registry.
_TYPES: Final = {
    1: "START",
    2: "DIE",
    3: "I_AM_DEAD",
    4: "PEER_DOWN",
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


class _RecordLayout(NamedTuple):
    """The offsets of the fields of a BGP4MP record: two AS numbers, interface, family, two addresses."""

    as_width: int
    family: socket.AddressFamily
    address_at: int
    address_end: int
    payload_at: int


def _layout(as_width: int, family: socket.AddressFamily, address_width: int) -> _RecordLayout:
    address_at = 2 * as_width + 4
    return _RecordLayout(as_width, family, address_at, address_at + address_width, address_at + 2 * address_width)


_LAYOUTS: Final = {
    (as4, afi): _layout(4 if as4 else 2, family, width)
    for as4 in (False, True)
    for afi, family, width in ((1, socket.AF_INET, 4), (2, socket.AF_INET6, 16))
}


def read(path: Path, leave_out: LeaveOut = lambda _record, _what: None) -> Iterator[Record]:
    """The BGP messages and state changes of an MRT update file, in the file's order.

    Plain, gzip, bzip2, xz and zstd files are recognized by their first bytes. A record that is of another type, or
    damaged within its length, is skipped, and reading continues after it.

    Args:
        path: the file.
        leave_out: called with each record that is skipped.

    Yields:
        Each BGP4MP or BGP4MP_ET record; records are numbered from 1.

    Raises:
        ReplayError: the file cannot be read, or contains no BGP4MP record.
        CutError: it is truncated, or damaged so that the next record cannot be found; all records before have been
            yielded. The message names the file, the record and the offset in the uncompressed file.
    """
    return MrtFile(path).records(leave_out)


class CutError(ReplayError):
    """The file is truncated, or damaged so that the next record cannot be found; all before were yielded."""


class UnreadableError(Exception):
    """An invalid record of known length; the text says why, as in `record 7 ...`."""


class Frame(NamedTuple):
    """A record of the file, of any type."""

    record: int
    """Its number, from 1."""
    offset: int
    """Where it begins in the uncompressed file, in bytes."""
    raw: bytes
    """The whole record with its header (RFC 6396 2)."""


def parse(raw: bytes, record: int = 0) -> Record:
    """The BGP message, or the state change, in one record.

    Args:
        raw: the whole record with its header.
        record: its number.

    Raises:
        UnreadableError: it has another type, or is damaged within its length.
    """
    time, kind, subtype, _length = _RECORD_HEADER.unpack_from(raw)
    at = _RECORD_HEADER.size
    if kind == _BGP4MP:
        return _bgp4mp(record, subtype, time, raw[at:])
    if kind == _BGP4MP_ET:
        if len(raw) < at + 4:
            raise UnreadableError("has no room for its microseconds")
        return _bgp4mp(record, subtype, time + int.from_bytes(raw[at : at + 4]) / 1_000_000, raw[at + 4 :])
    raise UnreadableError(f"is of MRT type {_named(kind)}, not BGP4MP (16) or BGP4MP_ET (17)")


def type_of(raw: bytes) -> int:
    """The MRT type of a record (RFC 6396 4)."""
    return int.from_bytes(raw[4:6])


def is_of_table(raw: bytes) -> bool:
    """Whether a record belongs to a RIB dump (RFC 6396 4.2, 4.3)."""
    return type_of(raw) in (_TABLE_DUMP, _TABLE_DUMP_V2)


def is_of_session(raw: bytes) -> bool:
    """Whether a record holds a BGP message or a state change (RFC 6396 4.4)."""
    return type_of(raw) in (_BGP4MP, _BGP4MP_ET)


def type_name(raw: bytes) -> str:
    """The type of a record, as in `OSPFv2 (11)`."""
    return _named(type_of(raw))


def _bgp4mp(record: int, subtype: int, time: float, body: bytes) -> Record:
    form = _SUBTYPES.get(subtype)
    if form is None:
        raise UnreadableError(f"is of BGP4MP subtype {subtype}, which is none of RFC 6396 or RFC 8050")
    layout = _layout_of(form.as4, body)
    peer, collector = _ends(form.as4, body[: layout.payload_at])
    if form.message:
        data = body[layout.payload_at :]
        _check_message(data)
        return _new(MrtMessage, (record, time, peer, collector, data, form.as4, form.add_path, form.local))
    if len(body) != layout.payload_at + 4:
        raise UnreadableError("is a state change without its two states")
    old, new = struct.unpack_from(">HH", body, layout.payload_at)
    return MrtStateChange(record, time, peer, collector, old, new)


def _layout_of(as4: bool, body: bytes) -> _RecordLayout:
    afi_at = 10 if as4 else 6
    afi = int.from_bytes(body[afi_at : afi_at + 2])
    layout = _LAYOUTS.get((as4, afi))
    if layout is None:
        raise UnreadableError(f"has peers of address family {afi}, not IPv4 (1) or IPv6 (2)")
    if len(body) < layout.payload_at:
        raise UnreadableError("ends before the addresses of its peers do")
    return layout


@lru_cache(maxsize=16384)
def _ends(as4: bool, head: bytes) -> tuple[MrtPeer, MrtPeer]:
    """The peer and the collector, from the fields before a record's message."""
    layout = _layout_of(as4, head)
    width, end = layout.as_width, layout.address_end
    addresses = head[layout.address_at : end], head[end : layout.payload_at]
    numbers = head[:width], head[width : 2 * width]
    peer, collector = (
        MrtPeer(socket.inet_ntop(layout.family, address), int.from_bytes(asn))
        for address, asn in zip(addresses, numbers, strict=True)
    )
    return peer, collector


def _check_message(data: bytes) -> None:
    if len(data) < _SHORTEST_MESSAGE or not data.startswith(_MARKER):
        raise UnreadableError("holds no BGP message: the marker of RFC 4271 section 4.1 is not there")
    length = int.from_bytes(data[16:18])
    if length != len(data):
        raise UnreadableError(f"holds a BGP message of {length} bytes in {len(data)}")


class MrtFile:
    """An MRT file, plain, gzip, bzip2, xz or zstd, recognized by its first bytes. One chunk is in memory at a time.

    Args:
        path: the file.
        on_read: called with the number of bytes of the file itself read so far.
    """

    def __init__(self, path: Path, on_read: Callable[[int], None] = lambda _: None) -> None:
        self._path = path
        self._on_read = on_read
        self._record = 0
        self._offset = 0

    def frames(self) -> Iterator[Frame]:
        """Its records, in order.

        Raises:
            ReplayError: it cannot be read, or is not an MRT file.
            CutError: it is truncated, or damaged so that the next record cannot be found; all before have been yielded.
        """
        rest = b""
        for chunk in self._chunks():
            buffer = rest + chunk
            at, last = 0, len(buffer) - _RECORD_HEADER.size
            while at <= last:
                _time, kind, _subtype, length = _RECORD_HEADER.unpack_from(buffer, at)
                if length > _LONGEST_RECORD:
                    self._check_header(kind, length)
                end = at + _RECORD_HEADER.size + length
                if end > len(buffer):
                    break
                self._record += 1
                yield _new(Frame, (self._record, self._offset, buffer[at:end]))
                self._offset += end - at
                at = end
            rest = buffer[at:]
        if rest or not self._record:
            self._cut(len(rest))

    def first(self) -> Frame:
        """Its first record.

        Raises:
            ReplayError: it cannot be read, or is no MRT file: neither of its first two records is of a known type.
            CutError: it ends in its first record.
        """
        frames = self.frames()
        found = [next(frames)]
        with suppress(CutError):
            found += islice(frames, 1)
        if not any(type_of(one.raw) in _TYPES for one in found):
            raise self._no_mrt(f"its first record would be of MRT type {type_of(found[0].raw)}, which does not exist")
        return found[0]

    def records(self, leave_out: LeaveOut) -> Iterator[Record]:
        """See `read`."""
        yielded, tables, first_fault = False, 0, ""
        for frame in self.frames():
            try:
                record = parse(frame.raw, frame.record)
            except UnreadableError as fault:
                tables += is_of_table(frame.raw)
                if tables > 1 and not yielded:
                    break  # a file with only a table is not worth reading to its end
                first_fault = first_fault or f"record {frame.record} at offset {frame.offset} {fault}"
                leave_out(frame.record, str(fault))
            else:
                yielded = True
                yield record
        if not yielded:
            self._nothing_at_all(first_fault, tables=tables)

    def _nothing_at_all(self, first_fault: str, *, tables: int) -> NoReturn:
        if tables:
            raise ReplayError(
                f"{self._path} is a RIB dump (MRT TABLE_DUMP): tables at one time, not the messages that led to them",
                "Replay an update file, such as RIS and RouteViews publish every 5 or 15 minutes as updates.*.",
            )
        raise self._no_mrt(f"nothing in it can be read; {first_fault}")

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from chunks(self._path, self._on_read)
        except DamagedError as error:
            raise CutError(
                f"{self._path} cannot be decompressed after record {self._record} at offset {self._offset}: {error}",
                "The file is truncated or damaged: download it again.",
            ) from None
        except OSError as error:
            raise ReplayError(
                f"{self._path} cannot be read: {error.strerror}", "Check the path and its permissions."
            ) from None

    def _check_header(self, kind: int, length: int) -> None:
        if length <= (_LONGEST_RECORD if kind in (_BGP4MP, _BGP4MP_ET) else _LONGEST_OTHER):
            return
        what = f"is of MRT type {_named(kind)} and claims a length of {length} bytes, more than any has"
        # If the first record is bad, it never was an MRT file; otherwise it was one up to here.
        if not self._record:
            raise self._no_mrt(f"its first record {what}")
        raise CutError(
            f"{self._path}: record {self._record + 1} at offset {self._offset} {what}: nothing after it can be read",
            "The file is damaged: download it again.",
        )

    def _no_mrt(self, why: str) -> ReplayError:
        return ReplayError(
            f"{self._path} is not an MRT file: {why}",
            "Give an MRT file, such as RIS and RouteViews publish, plain, .gz, .bz2, .xz or .zst.",
        )

    def _cut(self, there: int) -> NoReturn:
        if not self._record and there < _RECORD_HEADER.size:
            raise self._no_mrt(f"it is {there} bytes long")
        raise CutError(
            f"{self._path} is cut short: record {self._record + 1} at offset {self._offset} ends after {there} bytes",
            "The file is incomplete: download it again.",
        )
