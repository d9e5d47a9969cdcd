"""The journal of orders and their states on disk: lines of JSON, appended, and now and then rewritten as a whole.

A line counts once its newline is there: an incomplete last line is cut off. Lines reported as written are on disk.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from collector.errors import CollectorError
from collector.files import replacing, sync_directory
from schemas.journal import Record


class Journal:
    """The journal of one data directory, which one process has at a time.

    Args:
        path: the file, which is created if it does not exist. Its lock is beside it.

    Raises:
        CollectorError: another process uses it, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CollectorError(
                f"another process announces for {path.parent}",
                "stop it first, or give this one a --data-dir of its own",
            ) from None
        except OSError as error:
            raise self._unusable(error) from error
        self._records = self._read()
        self._file = self._open()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._file).st_size

    def take(self) -> Sequence[Record]:
        """Its contents when it was opened, oldest first; only once."""
        records, self._records = self._records, []
        return records

    def append(self, records: Iterable[Record], *, durable: bool) -> None:
        """Add records.

        Args:
            records: the records; after a crash, possibly only the first of them.
            durable: wait until they, and all earlier records, are on disk.

        Raises:
            CollectorError: the write failed: none of them counts.
        """
        data = b"".join(_line(record) for record in records)
        end = self.size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            if durable:
                os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise self._unusable(error) from error

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the whole contents by these records, durably.

        Raises:
            CollectorError: the write failed; the file is unchanged.
        """
        try:
            with replacing(self._path, durable=True) as file:
                for record in records:
                    file.write(_line(record))
        except OSError as error:
            raise self._unusable(error) from error
        os.close(self._file)
        self._file = self._open()

    def close(self) -> None:
        """Release it for another process."""
        os.close(self._file)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> list[Record]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error
        lines = data.splitlines(keepends=True)
        read = [_read_line(line) for line in lines]
        while read and read[-1] is None:  # an unreported write that a crash interrupted
            read.pop()
        if None in read:
            raise CollectorError(
                f"{self._path} is damaged in its line {read.index(None) + 1}",
                "move it away to start with an empty one: what it contains is then no longer announced",
            )
        if len(read) < len(lines):
            os.truncate(self._path, sum(map(len, lines[: len(read)])))
            sync_directory(self._path.parent)
        return [record for record in read if record is not None]

    def _unusable(self, error: OSError) -> CollectorError:
        return CollectorError(
            f"{self._path} cannot be used: {error.strerror}",
            "make room on that disk, or make it writable for this user",
        )


def _read_line(line: bytes) -> Record | None:
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return cast("Record", record) if isinstance(record, dict) else None


def _line(record: Record) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
