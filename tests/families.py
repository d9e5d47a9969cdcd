"""One route of each family: as it is announced, announced with what is no part of its key changed, and withdrawn."""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.exabgp_lines import packed, prefixes

RD = bytes.fromhex("00010a0000010007")
SAME_TEXT_RD = (bytes.fromhex("0000fbf400000001"), bytes.fromhex("00020000fbf40001"))
"""Of type 0 and of type 2: both are 64500:1 in words."""
NO_ESI, ESI = bytes(10), bytes.fromhex("00112233445566778899")
TAG = bytes(4)
MAC = bytes.fromhex("3002005e000001")


class Route(NamedTuple):
    """NLRI of one route."""

    name: str
    afi: int
    safi: int
    announced: bytes
    changed: bytes
    withdrawn: bytes
    other: bytes
    """Of another route, which is like it."""


def label(value: int) -> bytes:
    """Label bytes as EVPN has them."""
    return value.to_bytes(3)


def evpn(kind: int, said: bytes) -> bytes:
    """EVPN NLRI (RFC 7432 7)."""
    return bytes((kind, len(said))) + said


def mac_ip(*labels: int, esi: bytes = NO_ESI, ip: str | None = "10.1.1.1", tag: bytes = TAG, rd: bytes = RD) -> bytes:
    """A MAC/IP Advertisement route (RFC 7432 7.2)."""
    address = packed(ip) if ip else b""
    return evpn(2, rd + esi + tag + MAC + bytes((8 * len(address),)) + address + b"".join(map(label, labels)))


def ip_prefix(prefix: str, gateway: str, value: int, esi: bytes = NO_ESI) -> bytes:
    """An IP Prefix route (RFC 9136 3.1)."""
    address, _, length = prefix.partition("/")
    return evpn(5, RD + esi + TAG + bytes((int(length),)) + packed(address, gateway) + label(value))


def vpls(site: int, offset: int, size: int, base: int) -> bytes:
    """VPLS NLRI (RFC 4761 3.2.2)."""
    return struct.pack(">H8sHHH", 17, RD, site, offset, size) + base.to_bytes(3)


def mup(kind: int, said: bytes) -> bytes:
    """MUP NLRI (draft-ietf-bess-mup-safi 3.1)."""
    return struct.pack(">BHB", 1, kind, len(said)) + said


def session(prefix: str, teid: int, endpoint: str) -> bytes:
    """A Type 1 Session Transformed route."""
    address, _, length = prefix.partition("/")
    return mup(3, RD + bytes((int(length),)) + packed(address) + teid.to_bytes(4) + b"\x09\x20" + packed(endpoint))


def tlv(code: int, value: bytes) -> bytes:
    """BGP-LS TLV (RFC 9552 5.1)."""
    return struct.pack(">HH", code, len(value)) + value


def node(router: int) -> bytes:
    """The sub-TLVs of a node: its AS, its IS-IS system."""
    return tlv(512, (64500).to_bytes(4)) + tlv(515, bytes((1, 0, 0, 0, 0, router)))


LS = b"\2" + bytes(8) + tlv(256, node(1))


def flow(said: bytes) -> bytes:
    """FlowSpec NLRI (RFC 8955 4)."""
    return bytes((len(said),)) + said


MATCH = b"\1\x20" + packed("198.51.100.1") + b"\3\x81\x11"
MULTICAST = b"\x20" + packed("10.99.12.2") + b"\x20" + packed("239.1.1.1")
IGMP = RD + TAG + b"\0\x20" + packed("239.1.1.1") + b"\x20" + packed("192.0.2.1")


def same(name: str, afi: int, safi: int, nlri: bytes, other: bytes) -> Route:
    """A route all of whose NLRI is its key."""
    return Route(name, afi, safi, nlri, nlri, nlri, other)


ROUTES = [
    Route(
        "evpn-1",
        25,
        70,
        evpn(1, RD + ESI + TAG + label(81)),
        evpn(1, RD + ESI + TAG + label(97)),
        evpn(1, RD + ESI + TAG + label(0)),
        evpn(1, RD + NO_ESI + TAG + label(81)),
    ),
    Route("evpn-2", 25, 70, mac_ip(1600), mac_ip(3200, esi=ESI), mac_ip(0), mac_ip(1600, ip="10.1.1.2")),
    Route(
        "evpn-2-mac-alone", 25, 70, mac_ip(1600, ip=None), mac_ip(3200, 1616, ip=None), mac_ip(0, ip=None), mac_ip(1600)
    ),
    Route(
        "evpn-2-ipv6",
        25,
        70,
        mac_ip(1600, 1616, ip="2001:db8::9"),
        mac_ip(1600, 1632, ip="2001:db8::9"),
        mac_ip(0x800000, ip="2001:db8::9"),
        mac_ip(1600, 1616, ip="2001:db8::9", tag=b"\0\0\0\1"),
    ),
    Route(
        "evpn-2-rd",
        25,
        70,
        mac_ip(1600, rd=SAME_TEXT_RD[0]),
        mac_ip(3200, rd=SAME_TEXT_RD[0]),
        mac_ip(0, rd=SAME_TEXT_RD[0]),
        mac_ip(1600, rd=SAME_TEXT_RD[1]),
    ),
    same(
        "evpn-3",
        25,
        70,
        evpn(3, RD + TAG + b"\x20" + packed("192.0.2.1")),
        evpn(3, RD + TAG + b"\x20" + packed("192.0.2.2")),
    ),
    same(
        "evpn-4",
        25,
        70,
        evpn(4, RD + ESI + b"\x20" + packed("192.0.2.1")),
        evpn(4, RD + NO_ESI + b"\x20" + packed("192.0.2.1")),
    ),
    Route(
        "evpn-5",
        25,
        70,
        ip_prefix("10.2.0.0/16", "0.0.0.0", 1600),
        ip_prefix("10.2.0.0/16", "10.9.9.9", 3200, ESI),
        ip_prefix("10.2.0.0/16", "0.0.0.0", 0),
        ip_prefix("10.2.0.0/17", "0.0.0.0", 1600),
    ),
    Route(
        "evpn-5-ipv6",
        25,
        70,
        ip_prefix("2001:db8::/48", "::", 1600),
        ip_prefix("2001:db8::/48", "2001:db8::9", 1616, ESI),
        ip_prefix("2001:db8::/48", "::", 0x800000),
        ip_prefix("2001:db8:1::/48", "::", 1600),
    ),
    Route(
        "evpn-6",
        25,
        70,
        evpn(6, IGMP + b"\2"),
        evpn(6, IGMP + b"\4"),
        evpn(6, IGMP + b"\0"),
        evpn(6, IGMP[:-1] + b"\2\2"),
    ),
    Route(
        "evpn-7",
        25,
        70,
        evpn(7, RD + ESI + IGMP[8:] + b"\2"),
        evpn(7, RD + ESI + IGMP[8:] + b"\4"),
        evpn(7, RD + ESI + IGMP[8:] + b"\0"),
        evpn(7, RD + NO_ESI + IGMP[8:] + b"\2"),
    ),
    Route(
        "evpn-8",
        25,
        70,
        evpn(8, RD + ESI + IGMP[8:] + bytes(4) + b"\x0a\2"),
        evpn(8, RD + ESI + IGMP[8:] + bytes(4) + b"\x14\4"),
        evpn(8, RD + ESI + IGMP[8:] + bytes(6)),
        evpn(8, RD + NO_ESI + IGMP[8:] + bytes(6)),
    ),
    same("evpn-200", 25, 70, evpn(200, RD + b"abc"), evpn(200, RD + b"abd")),
    Route("vpls", 25, 65, vpls(5, 1, 8, 10702), vpls(5, 1, 16, 20702), vpls(5, 1, 8, 0), vpls(5, 9, 8, 10702)),
    same("mvpn-5", 1, 5, bytes((5, 18)) + RD + MULTICAST, bytes((5, 18)) + RD[:-1] + b"\x08" + MULTICAST),
    same(
        "mvpn-7",
        1,
        5,
        bytes((7, 22)) + RD + bytes.fromhex("0000fbf4") + MULTICAST,
        bytes((7, 22)) + RD + bytes.fromhex("0000fbf5") + MULTICAST,
    ),
    same("mvpn-1", 1, 5, bytes((1, 12)) + RD + packed("192.0.2.1"), bytes((1, 12)) + RD + packed("192.0.2.2")),
    same("mup-1", 1, 85, mup(1, RD + b"\x18" + packed("10.0.1.0")[:3]), mup(1, RD + b"\x19" + packed("10.0.1.0"))),
    same("mup-2", 1, 85, mup(2, RD + packed("10.0.0.1")), mup(2, RD + packed("10.0.0.2"))),
    same(
        "mup-4",
        1,
        85,
        mup(4, RD + b"\x40" + packed("10.0.0.1") + b"\0\0\0\1"),
        mup(4, RD + b"\x40" + packed("10.0.0.1") + b"\0\0\0\2"),
    ),
    same(
        "rtc",
        1,
        132,
        b"\x60" + bytes.fromhex("0000fbf40002fbf500000064"),
        b"\x60" + bytes.fromhex("0000fbf50002fbf500000064"),
    ),
    same("bgp-ls-node", 16388, 71, tlv(1, LS), tlv(1, b"\2" + bytes(8) + tlv(256, node(2)))),
    same(
        "bgp-ls-link",
        16388,
        71,
        tlv(2, LS + tlv(257, node(2)) + tlv(259, packed("10.0.1.1")) + tlv(260, packed("10.0.1.2"))),
        tlv(2, LS + tlv(257, node(2)) + tlv(259, packed("10.0.2.1")) + tlv(260, packed("10.0.2.2"))),
    ),
    same("bgp-ls-prefix", 16388, 71, tlv(3, LS + tlv(265, b"\x18\x0a\0\1")), tlv(3, LS + tlv(265, b"\x18\x0a\0\2"))),
    same("bgp-ls-unknown", 16388, 71, tlv(99, LS), tlv(99, LS + b"\0\1\0\0")),
    same("flow", 1, 133, flow(MATCH), flow(MATCH + b"\5\x81\x35")),
    same("flow-vpn", 1, 134, flow(RD + MATCH), flow(RD[:-1] + b"\x08" + MATCH)),
    Route(
        "vpn",
        1,
        128,
        prefixes("10.3.0.0/16", before=label(1601) + RD),
        prefixes("10.3.0.0/16", before=label(3201) + RD),
        prefixes("10.3.0.0/16", before=label(0x800000) + RD),
        prefixes("10.3.0.0/16", before=label(1601) + RD[:-1] + b"\x08"),
    ),
    Route(
        "labelled",
        1,
        4,
        prefixes("10.4.0.0/16", before=label(1601)),
        prefixes("10.4.0.0/16", before=label(3201)),
        prefixes("10.4.0.0/16", before=label(0)),
        prefixes("10.5.0.0/16", before=label(1601)),
    ),
]
