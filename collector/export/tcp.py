"""A TCP connection as Ethernet frames, with correct sequence numbers and checksums.

IPv4 (RFC 791), IPv6 (RFC 8200) and TCP (RFC 9293) without options.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
BGP_PORT: Final = 179
_TCP: Final = 6
_TCP_HEADER: Final = 20
_WINDOW: Final = 2**16 - 1
_UNACKNOWLEDGED: Final = 2**14
"""Bytes after which the other end acknowledges: less than a window."""
_TTL: Final = 64
_DO_NOT_FRAGMENT: Final = 0x4000
_MTU: Final = 1500
_MACS: Final = (bytes.fromhex("020000000001"), bytes.fromhex("020000000002"))
"""The addresses of the connecting end, and of the other: locally administered ones (IEEE 802)."""


class TcpConnection:
    """One connection between two addresses of one version of IP.

    Args:
        addresses: the address of the connecting end, and of the other, which listens on BGP's port.
        port: the port of the connecting end.
    """

    def __init__(self, addresses: tuple[str, str], port: int) -> None:
        self._version = socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET
        self._addresses = tuple(socket.inet_pton(self._version, one) for one in addresses)
        self._ports = (port, BGP_PORT)
        self._next = [1000, 2000]
        """The next sequence number of each end."""
        self._unacknowledged = [0, 0]
        self._packets = 0
        header = 40 if self._version == socket.AF_INET6 else 20
        self._most = _MTU - header - _TCP_HEADER

    def open(self) -> Iterator[bytes]:
        """The handshake."""
        yield self._frame(0, SYN)
        yield self._frame(1, SYN | ACK)
        yield self._frame(0, ACK)

    def send(self, end: int, data: bytes) -> Iterator[bytes]:
        """What an end (0 connects, 1 listens) sends, in as many segments as needed, and its acknowledgements."""
        for at in range(0, len(data), self._most):
            some = data[at : at + self._most]
            yield self._frame(end, PSH | ACK, some)
            self._unacknowledged[end] += len(some)
            if self._unacknowledged[end] >= _UNACKNOWLEDGED:
                yield self._frame(1 - end, ACK)

    def close(self) -> Iterator[bytes]:
        """The end of the connection, by the end that connected."""
        yield self._frame(0, FIN | ACK)
        yield self._frame(1, FIN | ACK)
        yield self._frame(0, ACK)

    def _frame(self, end: int, flags: int, data: bytes = b"") -> bytes:
        acknowledged = self._next[1 - end] if flags & ACK else 0
        if flags & ACK:
            self._unacknowledged[1 - end] = 0
        header = struct.pack(
            *(">HHIIBBHHH", self._ports[end], self._ports[1 - end], self._next[end], acknowledged),
            *(_TCP_HEADER // 4 << 4, flags, _WINDOW, 0, 0),
        )
        self._next[end] = (self._next[end] + len(data) + bool(flags & (SYN | FIN))) % 2**32
        source, target = self._addresses[end], self._addresses[1 - end]
        length = len(header) + len(data)
        # The address, the protocol and the length are part of TCP's checksum (RFC 9293 3.1, RFC 8200 8.1).
        total = checksum(source + target + struct.pack(">II", length, _TCP) + header + data)
        segment = header[:16] + struct.pack(">H", total) + header[18:] + data
        macs = _MACS[1 - end] + _MACS[end]
        if self._version == socket.AF_INET6:
            return macs + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, length, _TCP, _TTL) + source + target + segment
        return macs + b"\x08\x00" + self._ipv4(length, source + target) + segment

    def _ipv4(self, length: int, addresses: bytes) -> bytes:
        self._packets = (self._packets + 1) % 2**16
        size, version = 20, 0x45
        header = struct.pack(">BBHHHBBH", version, 0, size + length, self._packets, _DO_NOT_FRAGMENT, _TTL, _TCP, 0)
        return header[:10] + struct.pack(">H", checksum(header + addresses)) + addresses


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
