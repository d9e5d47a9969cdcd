"""Extended communities as text, named as in IANA's registry, without spaces: `link-bandwidth:64500:1Gbps`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import lru_cache

_TUNNELS = {
    1: "l2tpv3",
    2: "gre",
    4: "ipsec-tunnel-mode",
    5: "ip-in-ip-with-ipsec",
    6: "mpls-in-ip-with-ipsec",
    7: "ip-in-ip",
    8: "vxlan",
    9: "nvgre",
    10: "mpls",
    11: "mpls-in-gre",
    12: "vxlan-gpe",
    13: "mpls-in-udp",
    14: "ipv6-tunnel",
    15: "sr-policy",
    19: "geneve",
}
"""BGP Tunnel Encapsulation Attribute Tunnel Types."""
_VALIDITY = {0: "valid", 1: "not-found", 2: "invalid"}
_TRANSITIVE = 0xBF
"""Clears the bit that says that a community does not leave an AS (RFC 4360 2)."""
_BYTES, _IPV6_BYTES = 8, 20


@lru_cache(maxsize=8192)
def extended_words(digits: str, printed: str) -> str:
    """An extended community (RFC 4360, RFC 5701) as text.

    Args:
        digits: the community's bytes in hexadecimal.
        printed: ExaBGP's text, which is used for types that are not in our list; may be empty.
    """
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    read = {_BYTES: _of_8_bytes, _IPV6_BYTES: _of_ipv6}.get(len(octets))
    words = read(octets) if read else ""
    if words or printed.startswith("0x"):
        return words
    return printed.replace(" ", ":")


def _of_ipv6(octets: bytes) -> str:
    name = _OF_AN_ADDRESS.get(octets[1])
    address = socket.inet_ntop(socket.AF_INET6, octets[2:18])
    return f"{name}:{address}:{int.from_bytes(octets[18:])}" if name and not octets[0] & _TRANSITIVE else ""


def _of_8_bytes(octets: bytes) -> str:
    kind, subtype, value = octets[0], octets[1], octets[2:]
    if known := _TYPES.get((kind & _TRANSITIVE, subtype)):
        word, read_value = known
        return f"{word}:{parts}" if (parts := read_value(value)) else word
    administrator = _ADMINISTRATORS.get(kind & _TRANSITIVE)
    if administrator is None:
        return ""
    names, read = administrator
    name = names.get(subtype)
    return f"{name}:{read(value)}" if name else ""


def _as2(value: bytes) -> str:
    return "{}:{}".format(*struct.unpack(">HI", value))


def _as4(value: bytes) -> str:
    return "{}:{}".format(*struct.unpack(">IH", value))


def _ipv4(value: bytes) -> str:
    return f"{socket.inet_ntoa(value[:4])}:{int.from_bytes(value[4:])}"


_OF_AN_AS = {2: "target", 3: "origin", 5: "ospf-domain-id", 8: "bgp-data-collection", 9: "source-as", 10: "l2vpn-id"}
_OF_AN_ADDRESS = {
    2: "target",
    3: "origin",
    5: "ospf-domain-id",
    7: "ospf-router-id",
    10: "l2vpn-id",
    11: "vrf-route-import",
}
_ADMINISTRATORS: dict[int, tuple[dict[int, str], Callable[[bytes], str]]] = {
    0x00: (_OF_AN_AS, _as2),
    0x01: (_OF_AN_ADDRESS, _ipv4),
    0x02: (_OF_AN_AS, _as4),
}


def _link_bandwidth(value: bytes) -> str:
    """draft-ietf-idr-link-bandwidth: an AS, and bytes a second as a float."""
    asn, rate = struct.unpack(">Hf", value)
    for unit, size in (("Tbps", 1e12), ("Gbps", 1e9), ("Mbps", 1e6), ("kbps", 1e3)):
        if rate * 8 >= size:
            return f"{asn}:{rate * 8 / size:g}{unit}"
    return f"{asn}:{rate * 8:g}bps"


def _color(value: bytes) -> str:
    """RFC 9012 4.3: the color, and the CO bits (RFC 9256 8.8) if any is set."""
    flags, color = struct.unpack(">HI", value)
    return f"{color}:co{flags >> 14}" if flags >> 14 else str(color)


def _validity(value: bytes) -> str:
    """RFC 8097 2."""
    return str(_VALIDITY.get(value[-1], value[-1]))


def _encapsulation(value: bytes) -> str:
    """RFC 9012 4.1."""
    tunnel = int.from_bytes(value[4:])
    return str(_TUNNELS.get(tunnel, tunnel))


def _ospf_route(value: bytes) -> str:
    """RFC 4577 4.2.6: area, type, options."""
    return f"{socket.inet_ntoa(value[:4])}:{value[4]}:{value[5]}"


def _mac_mobility(value: bytes) -> str:
    """RFC 7432 7.7."""
    return f"{int.from_bytes(value[2:])}{':sticky' if value[0] & 1 else ''}"


def _esi_label(value: bytes) -> str:
    """RFC 7432 7.5."""
    mode = "single-active" if value[0] & 1 else "all-active"
    return f"{int.from_bytes(value[3:]) >> 4}:{mode}"


def _mac(value: bytes) -> str:
    return "-".join(f"{byte:02x}" for byte in value)


def _rate(value: bytes) -> str:
    asn, rate = struct.unpack(">Hf", value)
    return f"{asn}:{max(rate, 0):.10g}"  # negative means zero (RFC 8955 7.1)


def _action(value: bytes) -> str:
    """RFC 8955 7.3."""
    names = [name for bit, name in ((2, "sample"), (1, "terminal")) if value[-1] & bit]
    return "-".join(names) or "none"


_TYPES: dict[tuple[int, int], tuple[str, Callable[[bytes], str]]] = {
    (0x00, 0x04): ("link-bandwidth", _link_bandwidth),
    (0x03, 0x00): ("origin-validation-state", _validity),
    (0x03, 0x06): ("ospf-route-type", _ospf_route),
    (0x03, 0x0B): ("color", _color),
    (0x03, 0x0C): ("encapsulation", _encapsulation),
    (0x03, 0x0D): ("default-gateway", lambda _: ""),
    (0x06, 0x00): ("mac-mobility", _mac_mobility),
    (0x06, 0x01): ("esi-label", _esi_label),
    (0x06, 0x02): ("es-import-target", _mac),
    (0x06, 0x03): ("router-mac", _mac),
    (0x80, 0x06): ("traffic-rate-bytes", _rate),
    (0x80, 0x07): ("traffic-action", _action),
    (0x80, 0x08): ("redirect", _as2),
    (0x80, 0x09): ("traffic-marking", lambda value: str(value[-1] & 0x3F)),
    (0x80, 0x0C): ("traffic-rate-packets", _rate),
    (0x81, 0x08): ("redirect", _ipv4),
    (0x82, 0x08): ("redirect", _as4),
}
"""By type, without its transitive bit, and subtype."""

_PRINTED = frozenset(
    (
        *("action", "bandwith", "consistentHashSortOrder", "copy-to-nexthop", "copy-to-nexthop-ietf", "encap"),
        *("interface-set", "l2info", "mac-mobility", "mark", "mup", "origin", "rate-limit", "redirect"),
        *("redirect-to-nexthop", "redirect-to-nexthop-ietf", "rtrecord", "target"),
    )
)
"""ExaBGP's own names, for types that IANA does not list."""
LONE_WORDS = frozenset(("copy-to-nexthop", "default-gateway", "redirect-to-nexthop"))
"""Names that nothing follows."""
WORDS = (
    _PRINTED
    | frozenset(_OF_AN_AS.values())
    | frozenset(_OF_AN_ADDRESS.values())
    | frozenset(word for word, _ in _TYPES.values())
)
"""All names that an extended community may begin with; one without a name is hexadecimal."""
