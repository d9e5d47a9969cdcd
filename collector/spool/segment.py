"""Segments: the files of the spool, each named after the number of its first line."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from collector.errors import SpoolError

CHUNK_BYTES = 2**20
CLOSED = -1
"""No file descriptor."""
DAMAGED = (errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EISDIR)
"""Errors of a medium or file system that has lost a file's content; permanent."""
_NAME = re.compile(r"(\d{20})\.jsonl")


class Segment(NamedTuple):
    """One file of the spool."""

    first: int
    """The number of its first line, counted from 0 over the spool's whole life."""
    path: Path


class SpooledLine(NamedTuple):
    """A line as it was written, and its place in the spool."""

    number: int
    raw: bytes
    """Without its newline."""
    torn: bool = False
    """Whether it is incomplete: its writer was killed in the middle of it, or had no room for the rest."""


class Extent(NamedTuple):
    """The size of a segment, and how it ends."""

    newlines: int
    size: int
    """In bytes."""
    torn: bool
    """Whether bytes follow the last newline: a line whose writer was killed, or is still writing it."""


def path_of(directory: Path, first: int) -> Path:
    """The path of the segment whose first line has the number `first`."""
    return directory / f"{first:020}.jsonl"


def segments(directory: Path) -> list[Segment]:
    """List the segments of a spool, oldest first; empty if the directory does not exist.

    Raises:
        SpoolError: the directory cannot be read.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 (asked for at each end of file: Path.iterdir costs three times as much)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(directory, error) from error
    return sorted(Segment(int(found[1]), directory / name) for name in names if (found := _NAME.fullmatch(name)))


def measure(path: Path, offset: int = 0) -> Extent:
    """Count the newlines of a segment from `offset` on.

    Raises:
        FileNotFoundError: the segment was retired meanwhile.
    """
    newlines, last = 0, b"\n"
    with path.open("rb", buffering=0) as file:
        size = file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            newlines += chunk.count(b"\n")
            size += len(chunk)
            last = chunk[-1:]
    return Extent(newlines, size, torn=last != b"\n")


def make_directory(directory: Path) -> None:
    """Create the spool's directory, readable by its owner only.

    Raises:
        SpoolError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(directory, error) from error


def unusable(path: Path, error: OSError) -> SpoolError:
    """The error to raise for a system error at this path."""
    return SpoolError(
        f"the spool cannot be used: {path}: {error.strerror}",
        "make the directory writable for the user who runs bgpledger, or choose another with --data-dir",
    )
