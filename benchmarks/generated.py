"""A table that nobody ever announced, of the shape of a real one, for those who have no MRT file."""

from __future__ import annotations

import gzip
import random
import struct
from ipaddress import IPv4Address
from itertools import accumulate
from pathlib import Path

from collector.bgp import messages as bgp
from collector.files import replacing

PEER = IPv4Address("192.0.2.1")
PEER_AS = 64_500
_BEGIN = 1_445_565_695
_FIRST = int(IPv4Address("1.0.0.0"))

# Of the table of 2015 in docs/benchmarks.md: routes of an UPDATE, lengths of a prefix and of an AS path.
_ROUTES = ((1, 0.47), (2, 0.17), (3, 0.09), (5, 0.11), (10, 0.08), (30, 0.06), (120, 0.02))
_LENGTHS = ((24, 0.55), (23, 0.1), (22, 0.13), (21, 0.06), (20, 0.07), (19, 0.05), (16, 0.04))
_HOPS = ((2, 0.2), (3, 0.35), (4, 0.25), (5, 0.12), (7, 0.08))


def write_table(path: Path, routes: int) -> None:
    """Write `routes` announcements as BGP4MP_MESSAGE_AS4 records (RFC 6396 4.4.2), always the same ones."""
    chance = random.Random(routes)  # noqa: S311  # a table, not a secret
    left, network = routes, _FIRST
    with replacing(path) as compressed, gzip.open(compressed, "wb", compresslevel=6) as file:
        while left:
            count = min(_draw(chance, _ROUTES), left)
            nlri = bytearray()
            for _ in range(count):
                length = _draw(chance, _LENGTHS)
                size = 1 << (32 - length)
                network = -(-network // size) * size
                nlri += bytes((length,)) + network.to_bytes(4)[: (length + 7) // 8]
                network += size if chance.random() < 0.7 else 2 * size
            left -= count
            file.write(_record(_update(chance, bytes(nlri)), _BEGIN + (routes - left) // 20_000))


def _draw(chance: random.Random, table: tuple[tuple[int, float], ...]) -> int:
    values, weights = zip(*table, strict=True)
    drawn: int = chance.choices(values, cum_weights=list(accumulate(weights)))[0]
    return drawn


def _update(chance: random.Random, nlri: bytes) -> bytes:
    hops = [chance.randrange(1, 64_000) for _ in range(_draw(chance, _HOPS))]
    path = bytes((2, len(hops))) + b"".join(asn.to_bytes(4) for asn in hops)
    communities = b"".join(
        struct.pack(">HH", PEER_AS, chance.randrange(65_536)) for _ in range(chance.choice((1, 1, 1, 2, 6)))
    )
    next_hop = struct.pack(">I", int(PEER) + chance.randrange(1, 100))
    attributes = b"".join(
        (
            _attribute(0x40, 1, b"\0"),
            _attribute(0x40, 2, path),
            _attribute(0x40, 3, next_hop),
            _attribute(0x80, 4, chance.randrange(1000).to_bytes(4)),
            _attribute(0xC0, 8, communities),
        )
    )
    return bgp.message(bgp.UPDATE, b"\0\0" + len(attributes).to_bytes(2) + attributes + nlri)


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    return bytes((flags, code, len(value))) + value


def _record(message: bytes, time: int) -> bytes:
    speakers = struct.pack(">IIHH", PEER_AS, 64_510, 0, 1) + PEER.packed + bytes(4)
    body = speakers + message
    return struct.pack(">IHHI", time, 16, 4, len(body)) + body
