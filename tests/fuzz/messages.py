"""Hostile BGP messages: good ones of every family and attribute with bytes changed, cut and grown."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family
from collector.bgp.messages import MARKER
from collector.bgp.notifications import notification
from collector.bgp.open_messages import Abilities, open_message
from tests.exabgp_lines import NEXT_HOP, ORIGIN, as_path, attribute, body, packed, prefixes, reach, unreach
from tests.families import ROUTES

_PATH = ORIGIN + as_path(64500, 64501)
_LENGTHS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 254, 255)


def messages() -> list[bytes]:
    """Good messages of every type, family and attribute."""
    good = [
        (_PATH + NEXT_HOP, prefixes("203.0.113.0/24", "10.0.0.0/8")),
        (b"", b"", prefixes("203.0.113.0/24")),
        (unreach(2, 1, b""),),
        (b"",),
        (_PATH + attribute(0xC0, 8, bytes(8)) + attribute(0xC0, 32, bytes(12)) + NEXT_HOP, prefixes("10.0.0.0/8")),
        (_PATH + attribute(0xC0, 16, bytes.fromhex("0002fbf400000001")) + attribute(0xC0, 25, bytes(20)) + NEXT_HOP,),
        (
            _PATH
            + attribute(0xC0, 40, bytes.fromhex("01000700000000000064"))
            + attribute(0x80, 26, b"\1\0\x0b" + bytes(8)),
        ),
        (
            _PATH
            + attribute(0xC0, 22, bytes.fromhex("0006000641c0000201"))
            + attribute(0x80, 29, bytes.fromhex("0402000161")),
        ),
        (_PATH + attribute(0xC0, 17, b"\2\1\0\0\0\1") + attribute(0xC0, 18, bytes(8)) + attribute(0xC0, 7, bytes(8)),),
        (_PATH + attribute(0x80, 9, bytes(4)) + attribute(0x80, 10, bytes(8)) + attribute(0xC0, 35, bytes(4)),),
    ]
    for route in ROUTES:
        hop = packed("2001:db8::1") if route.afi == 2 else packed("192.0.2.1")
        hop = bytes(8) + hop if route.safi == 128 else hop
        good.append((_PATH + reach(route.afi, route.safi, hop, route.announced),))
        good.append((unreach(route.afi, route.safi, route.withdrawn),))
    abilities = Abilities(
        as4=True, families=frozenset({IPV4_UNICAST}), add_path=frozenset({IPV4_UNICAST}), extended=True
    )
    refresh = MARKER + struct.pack(">HBHBB", 23, 5, 1, 0, 1)
    others = [open_message(64500, 90, "192.0.2.1", abilities), notification(6, 2, b"\5hello"), refresh]
    return [_update(*parts) for parts in good] + others


def _update(*parts: bytes) -> bytes:
    said = body(*parts)
    return MARKER + struct.pack(">HB", 19 + len(said), 2) + said


def hostile(seed: int, count: int) -> Iterator[tuple[bytes, Abilities]]:
    """Messages, and what their session has agreed on; the same of one seed."""
    chance = random.Random(seed)
    good = messages()
    families = frozenset((route.afi, route.safi) for route in ROUTES) | {IPV4_UNICAST, IPV6_UNICAST}
    sessions = [
        Abilities(as4=as4, families=families, add_path=paths)
        for as4 in (True, False)
        for paths in (frozenset[Family](), families)
    ]
    for _ in range(count):
        data = bytearray(chance.choice(good))
        for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
            _change(chance, data)
        if chance.random() < 0.9:
            data[16:18] = min(len(data), 65_535).to_bytes(2)
        yield bytes(data), chance.choice(sessions)


def _change(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(19, len(data) + 1)
    way = chance.randrange(5)
    if way == 0:
        data[at : at + chance.choice((1, 2, 4, 16))] = b""
    elif way == 1:
        data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16, 300)))
    elif at < len(data):
        data[at] = chance.randrange(256) if way == 2 else chance.choice(_LENGTHS)
