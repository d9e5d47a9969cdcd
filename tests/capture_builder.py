"""Builds captures: what two BGP speakers say, in packets that may be lost, late, doubled or wrapped; for tests only."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

FIN, SYN, RST, PUSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
T = 1_800_000_000
ETHERNET, RAW, LOOP, SLL, SLL2 = 1, 101, 108, 113, 276


class Frame(NamedTuple):
    """A packet on the wire, and when."""

    time: float
    data: bytes


def _sum(data: bytes) -> int:
    total = sum(int(word) for word in struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class Talk:
    """A TCP connection from `client` to port 179 of `server`; each step makes packets.

    `first` is the number ahead of each end's first byte.
    """

    client: str = "192.0.2.1"
    server: str = "192.0.2.2"
    port: int = 50_000
    link: int = ETHERNET
    vlans: Sequence[int] = ()
    extensions: bytes = b""
    """Headers of IPv6 ahead of TCP's, the type of the first one ahead of them."""
    first: int = 1000
    time: float = T
    frames: list[Frame] = field(default_factory=list)
    _sent: dict[bool, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sent = {True: self.first, False: self.first + 5}

    def handshake(self) -> None:
        self._packet(SYN, by_client=True)
        self._sent[True] += 1
        self._packet(SYN | ACK, by_client=False)
        self._sent[False] += 1
        self._packet(ACK, by_client=True)

    def say(self, *messages: bytes, by_client: bool = True, size: int = 1400) -> None:
        """Send messages, cut into segments of a size; each is acknowledged."""
        data = b"".join(messages)
        for at in range(0, len(data), size):
            self._packet(PUSH | ACK, data[at : at + size], by_client=by_client)
            self._sent[by_client] += len(data[at : at + size])
            self._packet(ACK, by_client=not by_client)

    def finish(self, *, by_client: bool = True) -> None:
        self._packet(FIN | ACK, by_client=by_client)
        self._sent[by_client] += 1

    def reset(self, *, by_client: bool = True) -> None:
        self._packet(RST, by_client=by_client)

    def _packet(self, flags: int, data: bytes = b"", *, by_client: bool) -> None:
        self.time = round(self.time + 0.01, 6)
        ends = (self.client, self.server) if by_client else (self.server, self.client)
        ports = (self.port, 179) if by_client else (179, self.port)
        sequence, acknowledged = (self._sent[one] % 2**32 for one in (by_client, not by_client))
        tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 65_000, 0, 0)
        source, destination = (ip_address(end).packed for end in ends)
        pseudo = source + destination + struct.pack(">HH", 6, len(tcp) + len(data))
        tcp = tcp[:16] + _sum(pseudo + tcp + data).to_bytes(2) + tcp[18:]
        self.frames.append(Frame(self.time, self._wrapped(source, destination, tcp + data)))

    def _wrapped(self, source: bytes, destination: bytes, segment: bytes) -> bytes:
        if len(source) == 4:
            head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), len(self.frames), 0, 64, 6, 0)
            head += source + destination
            packet = head[:10] + _sum(head).to_bytes(2) + head[12:] + segment
        else:
            more = self.extensions[1:]
            kind = self.extensions[0] if self.extensions else 6
            packet = struct.pack(">IHBB", 6 << 28, len(more) + len(segment), kind, 64) + source + destination
            packet += more + segment
        return linked(self.link, packet, self.vlans)


def linked(link: int, packet: bytes, vlans: Sequence[int] = ()) -> bytes:
    """An IP packet behind a link layer."""
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    tags = b"".join(struct.pack(">HH", tag, 0x8100 if at + 1 < len(vlans) else kind) for at, tag in enumerate(vlans))
    outer = (0x88A8 if len(vlans) > 1 else 0x8100) if vlans else kind
    heads = {
        ETHERNET: bytes(12) + struct.pack(">H", outer) + tags,
        RAW: b"",
        LOOP: struct.pack(">I", 2 if kind == 0x0800 else 30),
        SLL: struct.pack(">HHH8sH", 0, 1, 6, bytes(8), outer) + tags,
        SLL2: struct.pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, bytes(8)),
    }
    packet = heads[link] + packet
    return packet + bytes(max(60 - len(packet), 0)) if link == ETHERNET else packet


def fragments(packet: bytes, size: int) -> list[bytes]:
    """An Ethernet frame with IPv4, as frames with fragments of it."""
    head, payload = packet[14:34], packet[34 : 14 + int.from_bytes(packet[16:18])]
    found = []
    for at in range(0, len(payload), size):
        part = payload[at : at + size]
        word = at // 8 | (0x2000 if at + size < len(payload) else 0)
        short = (
            head[:2] + (20 + len(part)).to_bytes(2) + head[4:6] + word.to_bytes(2) + head[8:10] + bytes(2) + head[12:]
        )
        found.append(packet[:14] + short[:10] + _sum(short).to_bytes(2) + short[12:] + part)
    return found


def pcap(
    frames: Iterable[Frame], link: int = ETHERNET, *, order: str = "<", nano: bool = False, snap: int = 2**18
) -> bytes:
    """A pcap file."""
    unit = 1_000_000_000 if nano else 1_000_000
    made = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)
    for frame in frames:
        stamp = int(frame.time), round(frame.time % 1 * 1_000_000) * (unit // 1_000_000)
        made += struct.pack(f"{order}IIII", *stamp, min(len(frame.data), snap), len(frame.data)) + frame.data[:snap]
    return made


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    size = 12 + (len(body) + 3) // 4 * 4
    return struct.pack(f"{order}II", kind, size) + body + bytes(-len(body) % 4) + struct.pack(f"{order}I", size)


def pcapng(frames: Iterable[Frame], link: int = ETHERNET, *, order: str = "<", resolution: int = 6) -> bytes:
    """A pcapng file with Enhanced Packet Blocks; the resolution is that of if_tsresol."""
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    section = struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)
    option = struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0)
    made = block(order, 0x0A0D0D0A, section) + block(order, 1, struct.pack(f"{order}HHI", link, 0, 0) + option)
    made += block(order, 5, bytes(12))  # statistics, which are passed over
    for frame in frames:
        stamp = round(frame.time * 1_000_000) * units // 1_000_000
        size = len(frame.data)
        made += block(
            order, 6, struct.pack(f"{order}IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, size, size) + frame.data
        )
    return made
