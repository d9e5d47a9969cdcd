"""Reads an MRT file (RFC 6396, RFC 8050) as a stream of records.

docs/decisions/0001-mrt-reader.md says why no existing reader is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from collector.bgp.mrt_header import (
    BGP4MP,
    BGP4MP_ET,
    HEADER,
    TYPES,
    UnreadableError,
    describe_type,
    is_of_table,
    type_of,
)
from collector.bgp.mrt_messages import Record, parse
from collector.compression import DamagedError, chunks
from collector.errors import ReplayError

# The longest BGP message (RFC 8654) and a generous header; records of other types (a prefix in a table, with the routes
# of many peers) may be longer. A record that claims to be even longer is not a record, and the next one cannot be
# found.
_LONGEST_RECORD: Final = 65_535 + 64
_LONGEST_OTHER: Final = 2**24
_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and a file has millions of records."""

LeaveOut = Callable[[int, str], None]
"""Called with a record that is skipped: its number, and the reason (`has peers of address family 0`)."""


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


class Frame(NamedTuple):
    """A record of the file, of any type."""

    record: int
    """Its number, from 1."""
    offset: int
    """Where it begins in the uncompressed file, in bytes."""
    raw: bytes
    """The whole record with its header (RFC 6396 2)."""


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
            at, last = 0, len(buffer) - HEADER.size
            while at <= last:
                _time, kind, _subtype, length = HEADER.unpack_from(buffer, at)
                if length > _LONGEST_RECORD:
                    self._check_header(kind, length)
                end = at + HEADER.size + length
                if end > len(buffer):
                    break
                self._record += 1
                yield _new(Frame, (self._record, self._offset, buffer[at:end]))
                self._offset += end - at
                at = end
            rest = buffer[at:]
        if rest or not self._record:
            self._cut(rest)

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
        if not any(type_of(one.raw) in TYPES for one in found):
            raise self._no_such_type(found[0].raw)
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
                "replay an update file, such as RIS and RouteViews publish every 5 or 15 minutes as updates.*",
            )
        raise self._no_mrt(f"nothing in it can be read; {first_fault}")

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from chunks(self._path, self._on_read)
        except DamagedError as error:
            raise CutError(
                f"{self._path} cannot be decompressed after record {self._record} at offset {self._offset}: {error}",
                "the file is truncated or damaged: get it again",
            ) from None
        except OSError as error:
            raise ReplayError(
                f"{self._path} cannot be read: {error.strerror}", "check the path and its permissions"
            ) from None

    def _check_header(self, kind: int, length: int) -> None:
        if length <= (_LONGEST_RECORD if kind in (BGP4MP, BGP4MP_ET) else _LONGEST_OTHER):
            return
        what = f"is of MRT type {describe_type(kind)} and claims a length of {length} bytes, more than any has"
        # If the first record is bad, it never was an MRT file; otherwise it was one up to here.
        if not self._record:
            raise self._no_mrt(f"its first record {what}")
        raise CutError(
            f"{self._path}: record {self._record + 1} at offset {self._offset} {what}: nothing after it can be read",
            "the file is damaged: get it again",
        )

    def _no_mrt(self, why: str) -> ReplayError:
        return ReplayError(
            f"{self._path} is not an MRT file: {why}",
            "give an MRT file, such as RIS and RouteViews publish, plain, .gz, .bz2, .xz or .zst",
        )

    def _no_such_type(self, raw: bytes) -> ReplayError:
        return self._no_mrt(f"its first record would be of MRT type {type_of(raw)}, which does not exist")

    def _cut(self, rest: bytes) -> NoReturn:
        if not self._record and len(rest) < HEADER.size:
            raise self._no_mrt(f"it is {len(rest)} bytes long")
        if not self._record and type_of(rest) not in TYPES:
            raise self._no_such_type(rest)
        where = f"record {self._record + 1} at offset {self._offset}"
        raise CutError(
            f"{self._path} is cut short: {where} ends after {len(rest)} bytes",
            "the file is incomplete: get it again",
        )
