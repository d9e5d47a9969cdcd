"""What tells one spool from every other, wherever it is moved to: a random number in a file of its own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from collector.spool.segment import make_directory, sync_directory, unusable

_NAME = "identity"


def identity(directory: Path) -> str:
    """The identity of a spool, which is given one when it has none; only its reader may ask for that.

    Raises:
        SpoolError: it cannot be read or written.
    """
    make_directory(directory)
    try:
        return known_identity(directory) or _give(directory)
    except OSError as error:
        raise unusable(directory / _NAME, error) from error


def known_identity(directory: Path) -> str | None:
    """The identity of a spool, if it has one."""
    try:
        return (directory / _NAME).read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _give(directory: Path) -> str:
    fresh, given = directory / f"{_NAME}.new", secrets.token_hex(16)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(given.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / _NAME)
    sync_directory(directory)
    return given
