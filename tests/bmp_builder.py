"""BMP messages (RFC 7854) as a router writes them, and as our receiver puts them into its spool."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from collector.bgp.families import Family
from collector.bgp.messages import message
from collector.bgp.open_messages import Abilities, open_message
from collector.sources.bmp.messages import COMMON
from collector.sources.bmp.record import AddPath, Facts, pack

IPV4, IPV6 = (1, 1), (2, 1)
POST, TWO_BYTE, OUT, V6 = 0x40, 0x20, 0x10, 0x80
LOC_RIB = 3


def bmp(kind: int, body: bytes = b"", version: int = 3) -> bytes:
    """A BMP message."""
    return COMMON.pack(version, COMMON.size + len(body), kind) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value


def initiation(name: str = "r1") -> bytes:
    return bmp(4, tlv(1, b"a router") + tlv(2, name.encode()))


def termination(reason: int = 0) -> bytes:
    return bmp(5, tlv(1, reason.to_bytes(2)))


def update(*prefixes: str, withdraw: Sequence[str] = (), path: Sequence[int] = (64500,), as_width: int = 4) -> bytes:
    """An UPDATE of IPv4 routes."""
    attributes = b""
    if prefixes:
        ases = b"".join(asn.to_bytes(as_width) for asn in path)
        segment = bytes((2, len(path))) + ases
        attributes = b"\x40\x01\x01\x00" + bytes((0x40, 2, len(segment))) + segment + b"\x40\x03\x04\xc0\x00\x02\x01"
    gone = nlri(withdraw)
    return message(
        2, struct.pack(">H", len(gone)) + gone + struct.pack(">H", len(attributes)) + attributes + nlri(prefixes)
    )


def end_of_rib() -> bytes:
    return message(2, bytes(4))


def nlri(prefixes: Sequence[str]) -> bytes:
    made = b""
    for prefix in prefixes:
        network = ip_network(prefix)
        made += bytes((network.prefixlen,)) + network.network_address.packed[: (network.prefixlen + 7) // 8]
    return made


def open_of(asn: int, *, as4: bool = True, add_path: frozenset[Family] = frozenset()) -> bytes:
    families = frozenset((IPV4, IPV6))
    return open_message(asn, 90, "192.0.2.9", Abilities(as4=as4, families=families, add_path=add_path))


@dataclass
class PeerOf:
    """A peer as a router has it."""

    address: str = "198.51.100.7"
    asn: int = 64500
    kind: int = 0
    rd: bytes = bytes(8)
    local_asn: int = 65000
    ports: tuple[int, int] = (179, 33333)

    def header(self, flags: int, time: float) -> bytes:
        if ":" in self.address:
            address, flags = socket.inet_pton(socket.AF_INET6, self.address), flags | V6
        else:
            address = bytes(12) + socket.inet_aton(self.address)
        seconds = int(time)
        parts = bytes((self.kind, flags)) + self.rd + address + self.asn.to_bytes(4) + bytes((192, 0, 2, 9))
        return parts + struct.pack(">II", seconds, round((time - seconds) * 1e6))

    def up(self, time: float = 1000.0, *, sent: bytes = b"", received: bytes = b"", more: bytes = b"") -> bytes:
        local = bytes(12) + socket.inet_aton("198.51.100.1")
        opens = (sent or open_of(self.local_asn)) + (received or open_of(self.asn))
        return bmp(3, self.header(0, time) + local + struct.pack(">HH", *self.ports) + opens + more)

    def down(self, reason: int = 4, data: bytes = b"", time: float = 1000.0) -> bytes:
        return bmp(2, self.header(0, time) + bytes((reason,)) + data)

    def route(self, pdu: bytes, flags: int = 0, time: float = 1000.0) -> bytes:
        return bmp(0, self.header(flags, time) + pdu)

    def mirror(self, *tlvs: bytes, time: float = 1000.0) -> bytes:
        return bmp(6, self.header(0, time) + b"".join(tlvs))

    def stats(self, *tlvs: bytes, time: float = 1000.0) -> bytes:
        return bmp(1, self.header(0, time) + len(tlvs).to_bytes(4) + b"".join(tlvs))


def record(
    whole: bytes,
    arrival: float = 1.8e9,
    *,
    router: str = "192.0.2.1",
    port: int = 4711,
    facts: Facts = Facts.PEER_IS_UP,
    add_path: AddPath = (),
) -> bytes:
    """A message as a record of the spool."""
    if ":" in router:
        packed = socket.inet_pton(socket.AF_INET6, router)
    else:
        packed = bytes(10) + b"\xff\xff" + socket.inet_aton(router)
    return pack(arrival, packed, port, facts, add_path, whole)


def split(stream: bytes) -> list[bytes]:
    """The messages of a whole stream."""
    found = []
    while stream:
        length = int.from_bytes(stream[1:5])
        found.append(stream[:length])
        stream = stream[length:]
    return found
