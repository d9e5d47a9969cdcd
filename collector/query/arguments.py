"""Parses prefixes, addresses and times as people write them, for the command line, URLs and programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from collector.errors import UsageError
from collector.query.address_faults import fault_of_prefix
from collector.query.times import parse_moment
from schemas.scalars import normalise_address, normalise_prefix

Say = Callable[[str], None]
"""Called with a sentence that the user should know."""

_COLLECTOR_NAME = re.compile(r"[a-z][a-z0-9.-]{0,99}")


def parse_router(text: str) -> str:
    """The address of a router, or the name of a route collector.

    Raises:
        ValueError: it is neither.
    """
    if _COLLECTOR_NAME.fullmatch(text.lower()) and ":" not in text:
        return text.lower()
    return normalise_address(text)


def ignore(_note: str) -> None:
    """For callers that need no notes."""


def parse_prefix(prefix: str, *, say: Say = ignore) -> str:
    """A normalised prefix; an address becomes its own /32 or /128. Host bits are cleared, with a note.

    Raises:
        UsageError: it is not a prefix.
    """
    whole = prefix if "/" in prefix else f"{prefix}/{128 if ':' in prefix else 32}"
    try:
        normalised = normalise_prefix(whole)
    except ValueError:
        fault = fault_of_prefix(prefix)
        raise UsageError(
            f"{prefix!r} is not a prefix{fault and f': {fault}'}",
            "write ADDRESS/LENGTH, such as 203.0.113.0/24 or 2001:db8::/32",
        ) from None
    if normalise_address(prefix.partition("/")[0]) != normalised.partition("/")[0]:
        say(f"{prefix} has host bits set: showing {normalised}")
    return normalised


def parse_peer(text: str, *, say: Say = ignore) -> str:
    """An address, or a prefix of addresses, normalised; host bits are cleared, with a note.

    Raises:
        ValueError: it is neither.
    """
    if "/" not in text:
        return normalise_address(text)
    normalise_prefix(text)
    return parse_prefix(text, say=say)


def parse_time(text: str | datetime | None) -> datetime | None:
    """Parse a time (see `collector.query.times`); datetimes and None are returned unchanged.

    Raises:
        UsageError: it is not a time, or outside of 1970 to 2106.
    """
    if isinstance(text, datetime):
        text = text.isoformat()
    return None if text is None else parse_moment(text, datetime.now(UTC))
