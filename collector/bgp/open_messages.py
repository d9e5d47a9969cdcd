"""OPEN and its capabilities (RFC 4271 4.2, RFC 5492)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from collector.bgp.families import IPV4_UNICAST, IPV6, Family, family_name
from collector.bgp.messages import OPEN, message

AS_TRANS: Final = 23_456  # RFC 6793 section 9

# Capability codes: RFC 5492's registry.
_MULTIPROTOCOL: Final = 1
_EXTENDED_NEXT_HOP: Final = 5  # RFC 8950
_EXTENDED_MESSAGE: Final = 6
_AS4: Final = 65
_ADD_PATH: Final = 69
_CAPABILITIES: Final = 2  # the optional parameter, RFC 5492 section 4
_EXTENDED_PARAMETERS: Final = 255  # RFC 9072 section 2


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a session must negotiate so that the bytes of a file mean the same at the other end.

    Attributes:
        as4: AS numbers in AS_PATH and AGGREGATOR have four bytes (RFC 6793).
        families: the families of the routes (RFC 4760).
        add_path: the families whose routes have path identifiers (RFC 7911).
        extended: messages may be longer than 4,096 bytes (RFC 8654).
        ipv6_next_hops: the IPv4 families whose routes have IPv6 next hops (RFC 8950).
    """

    as4: bool
    families: frozenset[Family]
    add_path: frozenset[Family] = frozenset()
    extended: bool = False
    ipv6_next_hops: frozenset[Family] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """An OPEN message (RFC 4271 section 4.2); `asn` is that of capability 65, if present.

    `abilities.add_path` are the families that the sender of the OPEN wants to receive with path identifiers.
    """

    asn: int
    hold_time: int
    router_id: str
    abilities: Abilities


def open_message(asn: int, hold_time: int, router_id: str, abilities: Abilities) -> bytes:
    """The OPEN of a speaker that sends routes as in `abilities` (RFC 4271 section 4.2, RFC 5492)."""
    # Add-path mode 2: we send path identifiers, and do not want to receive any.
    families = sorted(abilities.families)
    capabilities = [_capability(_MULTIPROTOCOL, struct.pack(">HBB", afi, 0, safi)) for afi, safi in families]
    if abilities.as4:
        capabilities.append(_capability(_AS4, asn.to_bytes(4)))
    if abilities.add_path:
        sends = b"".join(struct.pack(">HBB", afi, safi, 2) for afi, safi in sorted(abilities.add_path))
        capabilities.append(_capability(_ADD_PATH, sends))
    if abilities.ipv6_next_hops:
        hops = b"".join(struct.pack(">HHH", afi, safi, IPV6) for afi, safi in sorted(abilities.ipv6_next_hops))
        capabilities.append(_capability(_EXTENDED_NEXT_HOP, hops))
    if abilities.extended:
        capabilities.append(_capability(_EXTENDED_MESSAGE, b""))
    parameters = b"".join(bytes((_CAPABILITIES, len(capability))) + capability for capability in capabilities)
    my_as = asn if asn < 2**16 else AS_TRANS
    fixed = struct.pack(">BHH4sB", 4, my_as, hold_time, socket.inet_aton(router_id), len(parameters))
    return message(OPEN, fixed + parameters)


def _capability(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def parse_open(body: bytes) -> OpenMessage:
    """Parse an OPEN.

    Args:
        body: the message without its header.

    Raises:
        ValueError: it is not an OPEN of BGP-4.
    """
    if len(body) < 10:
        raise ValueError(f"{len(body)} bytes are too few for an OPEN")
    version, asn, hold_time, router_id = struct.unpack_from(">BHH4s", body)
    if version != 4:
        raise ValueError(f"version {version}, not 4")
    as4 = extended = False
    families: set[Family] = set()
    add_path: set[Family] = set()
    ipv6_next_hops: set[Family] = set()
    for code, value in capabilities(body):
        if code == _MULTIPROTOCOL and len(value) == 4:
            families.add((int.from_bytes(value[:2]), value[3]))
        elif code == _AS4 and len(value) == 4:
            as4, asn = True, int.from_bytes(value)
        elif code == _ADD_PATH:
            add_path.update((afi, safi) for afi, safi, mode in _add_path_tuples(value) if mode & 1)
        elif code == _EXTENDED_NEXT_HOP:
            whole = value[: len(value) - len(value) % 6]
            ipv6_next_hops.update((afi, safi) for afi, safi, hop in struct.iter_unpack(">HHH", whole) if hop == IPV6)
        elif code == _EXTENDED_MESSAGE:
            extended = True
    # Without capability 1 a speaker only supports IPv4 unicast (RFC 4760 section 8).
    abilities = Abilities(
        as4, frozenset(families or {IPV4_UNICAST}), frozenset(add_path), extended, frozenset(ipv6_next_hops)
    )
    return OpenMessage(asn, hold_time, socket.inet_ntoa(router_id), abilities)


def _add_path_tuples(value: bytes) -> Iterator[tuple[int, int, int]]:
    whole = len(value) - len(value) % 4
    return struct.iter_unpack(">HBB", value[:whole])


def capabilities(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each capability in an OPEN's optional parameters (RFC 5492 4).

    Args:
        body: the message without its header, of 10 bytes or more.

    Raises:
        ValueError: their lengths do not fit.
    """
    length, rest, width = body[9], body[10:], 1
    if length == _EXTENDED_PARAMETERS and rest[:1] == bytes((_EXTENDED_PARAMETERS,)):
        length, rest, width = int.from_bytes(rest[1:3]), rest[3:], 2
    if len(rest) != length:
        raise ValueError(f"optional parameters of {length} bytes in {len(rest)}")
    for kind, value in _fields(rest, width):
        if kind == _CAPABILITIES:
            yield from _fields(value, 1)


def _fields(data: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    """Repeated type, length (of `width` bytes) and value."""
    at = 0
    while at < len(data):
        start = at + 1 + width
        end = start + int.from_bytes(data[at + 1 : start])
        if start > len(data) or end > len(data):
            raise ValueError("a capability is longer than its place")
        yield data[at], data[start:end]
        at = end


def missing(needed: Abilities, offered: Abilities) -> list[str]:
    """The abilities that a session needs and the other side lacks, as text."""
    words = []
    if needed.as4 and not offered.as4:
        words.append("4-byte AS numbers (capability 65)")
    words += [f"family {family_name(family)}" for family in sorted(needed.families - offered.families)]
    words += [f"receiving add-path for {family_name(family)}" for family in sorted(needed.add_path - offered.add_path)]
    without = sorted(needed.ipv6_next_hops - offered.ipv6_next_hops)
    words += [f"IPv6 next hops of {family_name(family)} (capability 5)" for family in without]
    if needed.extended and not offered.extended:
        words.append("extended messages (capability 6)")
    return words
