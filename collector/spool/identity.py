"""The identity of a spool, which survives moving it: a random number in a file."""

from __future__ import annotations

import secrets
from pathlib import Path

from collector.files import replace
from collector.spool.segment import make_directory, unusable

_NAME = "identity"


def spool_identity(directory: Path) -> str:
    """The identity of a spool, which is created if it has none; only its reader may call this.

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
    given = secrets.token_hex(16)
    replace(directory / _NAME, f"{given}\n", durable=True)
    return given
