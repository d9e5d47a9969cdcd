"""Prefixes and times as people type them on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collector.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

_OCTET, _OCTETS, _GROUPS = 255, 4, 8


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
        fault = fault_of_prefix(prefix)
        raise UsageError(
            f"{prefix!r} is not a prefix{fault and f': {fault}'}",
            "write ADDRESS/LENGTH, such as 203.0.113.0/24 or 2001:db8::/32",
        ) from None
    if normalise_address(prefix.partition("/")[0]) != normalised.partition("/")[0]:
        sys.stderr.write(f"{prefix} has host bits set: showing {normalised}\n")
    return normalised


def asked_peer(text: str) -> str:
    """An address, or a prefix of addresses, normalised; that host bits are cleared is said on stderr.

    Raises:
        ValueError: it is neither.
    """
    from schemas.scalars import normalise_address, normalise_prefix

    if "/" not in text:
        return normalise_address(text)
    normalise_prefix(text)
    return asked_prefix(text)


def asked_moment(text: str | None) -> datetime | None:
    """A time; see `collector.query.times`.

    Raises:
        UsageError: it is none.
    """
    from datetime import UTC, datetime

    from collector.query.times import parse_moment

    return None if text is None else parse_moment(text, datetime.now(UTC))


def asked_asn(text: str, option: str) -> int:
    """An AS number.

    Raises:
        UsageError: it is none; names the option.
    """
    from schemas.scalars import parse_asn

    try:
        return parse_asn(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not an AS number", "give 1 to 4294967294, also as AS64500 or 1.10"
        ) from None


def fault_of_address(text: str) -> str:
    """What keeps a text from being an address, such as `octet 300 is more than 255`; empty where all does."""
    if re.fullmatch(r"[0-9.]+", text) and "." in text:
        octets = text.split(".")
        wrong = next((octet for octet in octets if not octet or len(octet) > 3 or int(octet) > _OCTET), None)
        if len(octets) != _OCTETS:
            return f"it has {len(octets)} octets, not {_OCTETS}"
        if wrong is not None:
            return f"octet {wrong} is more than {_OCTET}" if wrong else "an octet is missing"
        zero = next((octet for octet in octets if octet != str(int(octet))), None)
        return f"octet {zero} begins with 0" if zero else ""
    if ":" in text and re.fullmatch(r"[0-9A-Za-z:.%]+", text):
        if "%" in text:
            return "a zone (%) is no part of it"
        groups = text.split(":")
        wrong = next((one for one in groups if not re.fullmatch(r"[0-9A-Fa-f]{0,4}", one) and "." not in one), None)
        if wrong is not None:
            return f"group {wrong} is not hexadecimal, of at most 4 digits"
        if text.count("::") > 1:
            return ":: stands in it twice"
        return "" if "." in text else f"it has {sum(map(bool, groups))} groups of {_GROUPS}"
    return ""


def fault_of_prefix(text: str) -> str:
    """What keeps a text from being a prefix, such as `its length is not 0 to 32`; empty where all does."""
    from schemas.scalars import normalise_address

    address, slash, _ = text.partition("/")
    try:
        normalise_address(address)
    except ValueError:
        return fault_of_address(address)
    return f"its length is not 0 to {128 if ':' in address else 32}" if slash else ""
