"""The scalar values of BGP: addresses, prefixes, AS numbers, times; and JSON values converted for BSON."""

from __future__ import annotations

import ipaddress
import re
import socket
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer
from pydantic_core import SchemaValidator, core_schema

_UINT16, _UINT32 = 2**16 - 1, 2**32 - 1
MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)
MAX_NESTING = 64  # MongoDB refuses documents nested deeper than 100 levels; ours add a few levels


@lru_cache(maxsize=4096)
def normalise_address(text: str) -> str:
    """The normal form of an IPv4 or IPv6 address: RFC 5952, as inet_ntop and ExaBGP print it.

    Raises:
        ValueError: it is not an address.
    """
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        raise ValueError(f"{text[:60]!r} is not an IPv4 or IPv6 address") from None


def parse_asn(text: str) -> int:
    """An AS number: `64500`, `AS64500`, or as RFC 5396 writes it with a dot, `1.10` (65546).

    Raises:
        ValueError: it is not an AS number.
    """
    digits = text[2:] if text[:2].upper() == "AS" else text
    if not re.fullmatch(r"[0-9]{1,10}|[0-9]{1,5}\.[0-9]{1,5}", digits):
        raise ValueError(f"{text[:60]!r} is not an AS number")
    high, dot, low = digits.rpartition(".")
    if max(int(high or 0), int(low) if dot else 0) > _UINT16 or int(low) > _UINT32:
        raise ValueError(f"{text[:60]!r} is not an AS number")
    return (int(high or 0) << 16) + int(low)


_LINK_LOCAL, _UNSPECIFIED = ipaddress.ip_network("fe80::/10"), "::"


@lru_cache(maxsize=4096)
def one_next_hop(first: str, second: str) -> tuple[str, str | None]:
    """The next hop in an IPv6 next hop of 32 bytes, and the link-local address beside it (RFC 2545 3).

    The global half is the next hop, or the first half if both are global; `::` means none.
    """
    rank = {first: _half_rank(first), second: _half_rank(second)}
    chosen, other = sorted((first, second), key=rank.__getitem__)
    return chosen, other if other != chosen and rank[other] == 1 else None


def _half_rank(address: str) -> int:
    if address == _UNSPECIFIED:
        return 2
    return int(ipaddress.ip_address(address) in _LINK_LOCAL)


def address_order(address: str) -> tuple[int, bytes]:
    """The sort key of an address: IPv4 first, then by number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return int(family == socket.AF_INET6), socket.inet_pton(family, address)


def normalise_prefix(text: str) -> str:
    """The normal form of a prefix: `ADDRESS/LENGTH`, its host bits zero (RFC 4271 4.3: they are irrelevant).

    Raises:
        ValueError: it is not a prefix.
    """
    address, slash, length = text.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in address else (socket.AF_INET, 32)
    # isdecimal() also holds for the digits of other scripts, hence isascii().
    if not (slash and length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= bits):
        raise ValueError(f"{text[:60]!r} is not a prefix (ADDRESS/LENGTH)")
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        raise ValueError(f"{text[:60]!r} is not a prefix (ADDRESS/LENGTH)") from None
    host_bits = bits - int(length)
    value = int.from_bytes(packed)
    network = value >> host_bits << host_bits
    return f"{socket.inet_ntop(family, network.to_bytes(bits // 8))}/{int(length)}"


def normalise_prefixes(texts: list[str]) -> list[str]:
    """As `normalise_prefix`, for many prefixes."""
    # Nearly all are normalised IPv4 prefixes, and this is the hottest place of the archiver: checking all of them at
    # once takes a sixth of the time of checking each.
    if _plain_prefixes().isinstance_python(texts):
        return texts
    return [normalise_prefix(text) for text in texts]


@cache
def _plain_prefixes() -> SchemaValidator:
    """A pattern for many IPv4 prefixes that are all in normal form."""
    octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    alternatives = []
    for length in range(33):
        whole, bits = divmod(length, 8)
        octets = [octet] * whole
        if bits:  # by the octet in which the length ends
            octets.append(f"(?:{'|'.join(map(str, range(0, 256, 1 << (8 - bits))))})")
        octets += ["0"] * (4 - len(octets))
        alternatives.append(r"\.".join(octets) + f"/{length}")
    prefix = core_schema.str_schema(pattern=f"^(?:{'|'.join(alternatives)})$", strict=True)
    return SchemaValidator(core_schema.list_schema(prefix, fail_fast=True, strict=True))


def to_milliseconds(moment: datetime) -> datetime:
    """Cut a time to the millisecond, which is all that a BSON date holds."""
    return moment - _MICROSECONDS[moment.microsecond % 1000]


_MICROSECONDS = [timedelta(microseconds=count) for count in range(1000)]


def spoken(moment: datetime) -> str:
    """A time for people, in UTC and to the millisecond; every command that takes a time accepts this form."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"


def from_unix(seconds: float) -> datetime:
    """Unix seconds as a UTC time, to the millisecond.

    Raises:
        ValueError: outside of 1970 to 2106, the range of an ObjectId's second.
    """
    if not 0 <= seconds < 2**32:
        raise ValueError(f"{seconds} is not a time between 1970 and 2106")
    moment = datetime.fromtimestamp(seconds, UTC)
    return to_milliseconds(moment) if moment.microsecond else moment


def storable(value: Any, depth: int = 0) -> Any:
    """A JSON value in a form that BSON can hold and MongoDB can query.

    Integers beyond 64 bits become hexadecimal strings; a `$` at the start of a key, and each `.` in it, become their
    full-width forms (MongoDB's own advice for such keys). Everything else stays as it is.

    Raises:
        ValueError: it is nested deeper than MongoDB stores.
    """
    if depth > MAX_NESTING:
        raise ValueError(f"nested deeper than {MAX_NESTING} levels")
    if isinstance(value, dict):
        return {_storable_key(key): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, int) and not MIN_INT64 <= value <= MAX_INT64:
        return hex(value)
    return value


def _storable_key(key: str) -> str:
    key = key.replace(".", "．").replace("\0", "␀")
    return "＄" + key[1:] if key.startswith("$") else key


_FAMILY = re.compile(r"[a-z0-9-]+ [a-z0-9 -]+")


@lru_cache(maxsize=256)
def check_family(text: str) -> str:
    """Check that a text is a family, and return it unchanged.

    Raises:
        ValueError: it is not.
    """
    if len(text) > 80 or not _FAMILY.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not a family such as 'ipv4 unicast'")
    return text


Address = Annotated[str, AfterValidator(normalise_address)]
"""An IPv4 or IPv6 address in normal form."""

Asn = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""An AS number, 2 or 4 bytes (RFC 6793)."""

Uint8 = Annotated[int, Field(ge=0, le=2**8 - 1)]
"""A version, an error code, a capability's code: one byte on the wire."""

Uint16 = Annotated[int, Field(ge=0, le=2**16 - 1)]
"""A hold time, half of a community: two bytes on the wire."""

Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""MULTI_EXIT_DISC, LOCAL_PREF, an add-path identifier: four bytes on the wire."""

Count = Annotated[int, Field(ge=0, le=MAX_INT64)]
"""A number that only counts up, within the range of BSON integers."""

Family = Annotated[str, AfterValidator(check_family)]
"""An address family and subsequent address family as ExaBGP names them: `ipv4 unicast`, `l2vpn evpn`."""


def _to_utc_milliseconds(moment: datetime) -> datetime:
    if moment.tzinfo is UTC and not moment.microsecond % 1000:
        return moment
    return to_milliseconds(moment.astimezone(UTC))


def rfc3339(moment: datetime) -> str:
    """A UTC time to the millisecond, as in JSON answers: `2026-11-27T08:00:00.000Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc_milliseconds),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A UTC time to the millisecond; RFC 3339 in JSON."""
