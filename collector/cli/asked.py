"""Prefixes and times as people type them on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime


def asked_prefix(prefix: str) -> str:
    """A prefix, normalised; an address is its own /32 or /128. Host bits are cleared, and that is said on stderr.

    Raises:
        UsageError: it is none.
    """
    import sys

    from schemas.scalars import normalise_address, normalise_prefix

    whole = prefix if "/" in prefix else f"{prefix}/{128 if ':' in prefix else 32}"
    try:
        normalised = normalise_prefix(whole)
    except ValueError:
        raise UsageError(
            f"{prefix!r} is not a prefix", "write ADDRESS/LENGTH, such as 203.0.113.0/24 or 2001:db8::/32"
        ) from None
    if normalise_address(prefix.partition("/")[0]) != normalised.partition("/")[0]:
        sys.stderr.write(f"{prefix} has host bits set: showing {normalised}\n")
    return normalised


def asked_moment(text: str | None) -> datetime | None:
    """A time; see `collector.query.moments`.

    Raises:
        UsageError: it is none.
    """
    from datetime import UTC, datetime

    from collector.query.moments import parse_moment

    return parse_moment(text, datetime.now(UTC)) if text else None
