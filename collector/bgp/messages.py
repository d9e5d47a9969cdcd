"""BGP messages as bytes (RFC 4271): OPEN and its capabilities, KEEPALIVE, NOTIFICATION; the families of an UPDATE.

No I/O here; `speaker` sends and receives these bytes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE_TYPE: Final = 4

HEADER_LENGTH: Final = 19
MAXIMUM_LENGTH: Final = 4096  # RFC 4271 section 4.1
EXTENDED_LENGTH: Final = 65_535  # RFC 8654
AS_TRANS: Final = 23_456  # RFC 6793 section 9

MARKER: Final = b"\xff" * 16
KEEPALIVE: Final = MARKER + b"\x00\x13\x04"

# Error codes and subcodes, RFC 4271 section 4.5.
MESSAGE_HEADER_ERROR: Final = 1
OPEN_ERROR: Final = 2
HOLD_TIMER_EXPIRED: Final = 4
CEASE: Final = 6
NOT_SYNCHRONIZED: Final = 1
BAD_PEER_AS: Final = 2
UNACCEPTABLE_HOLD_TIME: Final = 6
UNSUPPORTED_CAPABILITY: Final = 7
# RFC 4486 section 3.
MAXIMUM_PREFIXES: Final = 1
ADMINISTRATIVE_SHUTDOWN: Final = 2
ADMINISTRATIVE_RESET: Final = 4
CONNECTION_REJECTED: Final = 5
CONNECTION_COLLISION: Final = 7
OUT_OF_RESOURCES: Final = 8
HARD_RESET: Final = 9  # RFC 8538 section 3

# Capability codes: RFC 5492's registry.
_MULTIPROTOCOL: Final = 1
_EXTENDED_NEXT_HOP: Final = 5  # RFC 8950
_EXTENDED_MESSAGE: Final = 6
_AS4: Final = 65
_ADD_PATH: Final = 69
_CAPABILITIES: Final = 2  # the optional parameter, RFC 5492 section 4
_EXTENDED_PARAMETERS: Final = 255  # RFC 9072 section 2

# Path attribute types with routes in them, RFC 4760.
_MP_REACH_NLRI: Final = 14
_MP_UNREACH_NLRI: Final = 15
_EXTENDED_LENGTH_FLAG: Final = 0x10

_ERRORS: Final[dict[int, tuple[str, dict[int, str]]]] = {
    1: (
        "Message Header Error",
        {1: "Connection Not Synchronized", 2: "Bad Message Length", 3: "Bad Message Type"},
    ),
    2: (
        "OPEN Message Error",
        {
            1: "Unsupported Version Number",
            2: "Bad Peer AS",
            3: "Bad BGP Identifier",
            4: "Unsupported Optional Parameter",
            5: "Authentication Failure",
            6: "Unacceptable Hold Time",
            7: "Unsupported Capability",
            11: "Role Mismatch",
        },
    ),
    3: (
        "UPDATE Message Error",
        {
            1: "Malformed Attribute List",
            2: "Unrecognized Well-known Attribute",
            3: "Missing Well-known Attribute",
            4: "Attribute Flags Error",
            5: "Attribute Length Error",
            6: "Invalid ORIGIN Attribute",
            7: "AS Routing Loop",
            8: "Invalid NEXT_HOP Attribute",
            9: "Optional Attribute Error",
            10: "Invalid Network Field",
            11: "Malformed AS_PATH",
        },
    ),
    4: ("Hold Timer Expired", {}),
    5: (
        "Finite State Machine Error",
        {
            1: "Receive Unexpected Message in OpenSent State",
            2: "Receive Unexpected Message in OpenConfirm State",
            3: "Receive Unexpected Message in Established State",
        },
    ),
    6: (
        "Cease",
        {
            1: "Maximum Number of Prefixes Reached",
            2: "Administrative Shutdown",
            3: "Peer De-configured",
            4: "Administrative Reset",
            5: "Connection Rejected",
            6: "Other Configuration Change",
            7: "Connection Collision Resolution",
            8: "Out of Resources",
            9: "Hard Reset",
            10: "BFD Down",
        },
    ),
    7: ("ROUTE-REFRESH Message Error", {1: "Invalid Message Length"}),
    8: ("Send Hold Timer Expired", {}),
}
"""RFC 4271 4.5 (5 of OPEN and 7 of UPDATE: RFC 1771), 4486, 5492, 6608, 7313, 8538, 9234, 9384 and 9687."""
_SUBCODES_WITH_TEXT: Final = {(CEASE, ADMINISTRATIVE_SHUTDOWN), (CEASE, ADMINISTRATIVE_RESET)}  # RFC 9003

_IPV4: Final = 1
_IPV6: Final = 2
_AFI_NAMES: Final = {1: "ipv4", 2: "ipv6", 25: "l2vpn", 16388: "bgp-ls"}
_SAFI_NAMES: Final = {
    1: "unicast",
    2: "multicast",
    4: "nlri-mpls",
    5: "mcast-vpn",
    65: "vpls",
    70: "evpn",
    71: "bgp-ls",
    72: "bgp-ls-vpn",
    85: "mup",
    128: "mpls-vpn",
    132: "rtc",
    133: "flow",
    134: "flow-vpn",
}

_AFI_NUMBERS: Final = {name: number for number, name in _AFI_NAMES.items()}
_SAFI_NUMBERS: Final = {name: number for number, name in _SAFI_NAMES.items()}

Family = tuple[int, int]
"""Address family and subsequent address family, as numbers (RFC 4760)."""

FAMILIES: Final[frozenset[Family]] = frozenset((afi, safi) for afi in _AFI_NAMES for safi in _SAFI_NAMES)
"""All that have names, and some that nobody uses."""
IPV4_UNICAST: Final[Family] = (1, 1)
IPV6_UNICAST: Final[Family] = (2, 1)


def family_name(family: Family) -> str:
    """A family in ExaBGP's words, such as `ipv4 unicast`; numbers where it has none."""
    afi, safi = family
    return f"{_AFI_NAMES.get(afi, f'afi-{afi}')} {_SAFI_NAMES.get(safi, f'safi-{safi}')}"


@lru_cache(maxsize=256)
def family_number(name: str) -> Family:
    """The family that `family_name` gives this name.

    Raises:
        ValueError: it gives it to none.
    """
    afi, _, safi = name.partition(" ")
    numbers = _AFI_NUMBERS.get(afi), _SAFI_NUMBERS.get(safi)
    first = int(afi.removeprefix("afi-")) if numbers[0] is None else numbers[0]
    second = int(safi.removeprefix("safi-")) if numbers[1] is None else numbers[1]
    return first, second


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a session must have agreed on for the bytes of a file to mean the same at the other end.

    Attributes:
        as4: AS numbers in AS_PATH and AGGREGATOR are four bytes wide (RFC 6793).
        families: the families of the routes (RFC 4760).
        add_path: those of them whose routes carry path identifiers (RFC 7911).
        extended: messages may be longer than 4,096 bytes (RFC 8654).
        ipv6_next_hops: those of the families, all of IPv4, whose routes have IPv6 next hops (RFC 8950).
    """

    as4: bool
    families: frozenset[Family]
    add_path: frozenset[Family] = frozenset()
    extended: bool = False
    ipv6_next_hops: frozenset[Family] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """An OPEN message (RFC 4271 section 4.2); `asn` is the one of capability 65 where there is one.

    `abilities.add_path` are the families that the sender of the OPEN wants to receive with path identifiers.
    """

    asn: int
    hold_time: int
    router_id: str
    abilities: Abilities


def message(kind: int, body: bytes = b"") -> bytes:
    """A BGP message: header and body."""
    return MARKER + struct.pack(">HB", HEADER_LENGTH + len(body), kind) + body


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    """A NOTIFICATION message (RFC 4271 section 4.5)."""
    return message(NOTIFICATION, bytes((code, subcode)) + data)


def notification_words(body: bytes) -> str:
    """What a NOTIFICATION says, in the RFCs' words: `Cease / Administrative Reset: for maintenance`.

    Args:
        body: the message without its header.
    """
    if len(body) < 2:
        return "a NOTIFICATION without an error code"
    code, subcode = body[0], body[1]
    name, subcodes = _ERRORS.get(code, (f"error {code}", {}))
    words = name if subcode == 0 else f"{name} / {subcodes.get(subcode, f'subcode {subcode}')}"
    more = _more_words(code, subcode, body[2:])
    return f"{words}: {more}" if more else words


def shutdown_communication(body: bytes) -> str:
    """What an operator wrote into a NOTIFICATION (RFC 9003 2); "" where that is nothing.

    Args:
        body: the message without its header.
    """
    if tuple(body[:2]) not in _SUBCODES_WITH_TEXT or len(body) < 3:
        return ""
    return printable(body[3 : 3 + body[2]].decode("utf-8", "replace"))


def _more_words(code: int, subcode: int, data: bytes) -> str:
    if (code, subcode) in _SUBCODES_WITH_TEXT:
        return shutdown_communication(bytes((code, subcode)) + data)
    if (code, subcode) == (CEASE, HARD_RESET) and len(data) >= 2:
        return notification_words(data)
    if (code, subcode) == (CEASE, MAXIMUM_PREFIXES) and len(data) == 7:  # RFC 4486 section 4
        return f"{family_name((int.from_bytes(data[:2]), data[2]))}, {int.from_bytes(data[3:])} prefixes"
    return ""


def printable(text: str) -> str:
    """What of a text from outside may stand in a line: no control characters."""
    return "".join(character for character in text if character.isprintable())


def open_message(asn: int, hold_time: int, router_id: str, abilities: Abilities) -> bytes:
    """The OPEN of a speaker that sends routes as `abilities` say (RFC 4271 section 4.2, RFC 5492)."""
    # Add-path mode 2: we send path identifiers, and do not want to receive any.
    families = sorted(abilities.families)
    capabilities = [_capability(_MULTIPROTOCOL, struct.pack(">HBB", afi, 0, safi)) for afi, safi in families]
    if abilities.as4:
        capabilities.append(_capability(_AS4, asn.to_bytes(4)))
    if abilities.add_path:
        sends = b"".join(struct.pack(">HBB", afi, safi, 2) for afi, safi in sorted(abilities.add_path))
        capabilities.append(_capability(_ADD_PATH, sends))
    if abilities.ipv6_next_hops:
        hops = b"".join(struct.pack(">HHH", afi, safi, _IPV6) for afi, safi in sorted(abilities.ipv6_next_hops))
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
    """Read an OPEN.

    Args:
        body: the message without its header.

    Raises:
        ValueError: this is no OPEN of BGP-4.
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
            ipv6_next_hops.update((afi, safi) for afi, safi, hop in struct.iter_unpack(">HHH", whole) if hop == _IPV6)
        elif code == _EXTENDED_MESSAGE:
            extended = True
    # Without capability 1 a speaker does IPv4 unicast and nothing else (RFC 4760 section 8).
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
    """Type, length (of `width` bytes) and value, again and again."""
    at = 0
    while at < len(data):
        start = at + 1 + width
        end = start + int.from_bytes(data[at + 1 : start])
        if start > len(data) or end > len(data):
            raise ValueError("a capability is longer than its place")
        yield data[at], data[start:end]
        at = end


def missing(needed: Abilities, offered: Abilities) -> list[str]:
    """The abilities that a session needs and the other side does not offer, in words."""
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


def update_families(data: bytes) -> set[Family]:
    """The families whose routes an UPDATE announces or withdraws; of a malformed one, what can be told.

    Args:
        data: the whole message (RFC 4271 section 4.3, RFC 4760).
    """
    families = {family for _code, family, _next_hop in _multiprotocol(data)}
    withdrawn_length = int.from_bytes(data[19:21])
    if withdrawn_length or _attributes_end(data, withdrawn_length) < len(data):
        families.add(IPV4_UNICAST)
    return families


def ipv6_next_hops(data: bytes) -> set[Family]:
    """The IPv4 families of which an UPDATE announces routes with IPv6 next hops, which takes RFC 8950.

    Args:
        data: the whole message.
    """
    return {
        family
        for code, family, next_hop in _multiprotocol(data)
        if code == _MP_REACH_NLRI and family[0] == _IPV4 and next_hop >= 16
    }


def _attributes_end(data: bytes, withdrawn_length: int) -> int:
    at = 23 + withdrawn_length
    return at + int.from_bytes(data[at - 2 : at])


def _multiprotocol(data: bytes) -> Iterator[tuple[int, Family, int]]:
    """Of each MP_REACH_NLRI and MP_UNREACH_NLRI: its type, its family, and the length of its next hop."""
    withdrawn_length = int.from_bytes(data[19:21])
    at = 23 + withdrawn_length
    end = min(_attributes_end(data, withdrawn_length), len(data))
    while at + 3 <= end:
        if data[at] & _EXTENDED_LENGTH_FLAG:
            value_at, length = at + 4, data[at + 2 : at + 4]
        else:
            value_at, length = at + 3, data[at + 2 : at + 3]
        if data[at + 1] in (_MP_REACH_NLRI, _MP_UNREACH_NLRI) and value_at + 3 <= end:
            family = (int.from_bytes(data[value_at : value_at + 2]), data[value_at + 2])
            yield data[at + 1], family, int.from_bytes(data[value_at + 3 : value_at + 4])
        at = value_at + int.from_bytes(length)
