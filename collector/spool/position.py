"""The position of the reader: one small JSON file, replaced atomically."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.files import replace

_NAME = "position.json"
_RESERVE = "reserve"
_RESERVE_BYTES = 2**20


class DamagedPositionError(ValueError):
    """The file does not hold a position that this spool can have; never raised outside this package."""


ReaderNote = Mapping[str, Any]
"""What a reader of the spool remembers over a restart, as JSON; see `schemas.notes.ArchiverNote`."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything before `line` is done."""

    line: int
    """The number of the next line to be read."""
    segment: int
    """The segment that contains it, or will."""
    offset: int
    """The byte of that segment at which the line begins."""
    note: ReaderNote = field(default_factory=dict)
    """The reader's state, replaced together with the position, or not at all."""


def load(directory: Path) -> Position | None:
    """Read the acknowledged position; None when nothing was ever acknowledged.

    Raises:
        DamagedPositionError: the file is not one of ours, or only half of one.
    """
    try:
        found = json.loads((directory / _NAME).read_bytes())
        position = Position(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DamagedPositionError(str(error)) from error
    numbers = (position.line, position.segment, position.offset)
    if not all(type(number) is int and number >= 0 for number in numbers) or not isinstance(position.note, dict):
        raise DamagedPositionError("the values have the wrong types")
    return position


def glance(directory: Path) -> Position | None:
    """Read the position without being the reader: only the reader repairs a damaged one."""
    try:
        return load(directory)
    except DamagedPositionError:
        return None


def saved_at(directory: Path) -> datetime | None:
    """When a position was last saved; None if none ever was."""
    try:
        return datetime.fromtimestamp((directory / _NAME).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def save(directory: Path, position: Position) -> None:
    """Replace the acknowledged position: after a power loss the file holds the old or the new one, never a mixture.

    It works on a full disk too: acknowledging lines is what frees space there.
    """
    path, content = directory / _NAME, json.dumps(asdict(position))
    reserve = directory / _RESERVE
    try:
        replace(path, content, durable=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not reserve.exists():
            raise
        reserve.unlink()
        replace(path, content, durable=True)


def reserve(directory: Path) -> None:
    """Reserve disk space for `save`, for when the disk is full."""
    path = directory / _RESERVE
    with suppress(OSError):
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
            finally:
                os.close(descriptor)


def set_aside(directory: Path) -> Path:
    """Rename a position file that cannot be used, for people to inspect; returns its new path."""
    number = 1
    while (aside := directory / f"{_NAME}.damaged-{number}").exists():
        number += 1
    (directory / _NAME).replace(aside)
    return aside
