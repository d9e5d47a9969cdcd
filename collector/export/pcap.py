"""Generates a capture (pcap) of messages: BGP in synthetic TCP, IP and Ethernet.

Each session is a connection of its own, which its peer opens. Both ends send an OPEN first, so that a reader knows the
size of AS numbers, and whether routes have path identifiers. The peer's is the stored one, if that agrees with its
messages.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Final, cast

from collector.bgp.encode import encode_message
from collector.bgp.mrt_messages import MrtPeer
from collector.export.message_bytes import OURS, MessageEncoder, WireMessage, was_received
from collector.export.summary import ExportSummary
from collector.export.tcp import TcpConnection
from collector.query.messages import SessionChange, StoredMessage
from schemas.message_fields import MessageFields
from schemas.message_parts import Capability
from schemas.stored import MessageDocument, name_of

_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 2**18, 1)
"""Microseconds, version 2.4, UTC, at most 256 KiB of a packet, Ethernet."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_PORT, _PORTS = 49_152, 16_384  # RFC 6335 6
_FAMILIES: Final = [
    *(f"{ip}/{name}" for ip in ("ipv4", "ipv6") for name in ("unicast", "multicast", "nlri-mpls", "mpls-vpn", "flow")),
    *("l2vpn/vpls", "l2vpn/evpn", "bgp-ls/bgp-ls"),
]
_HOLD_TIME: Final = 180
_PEER, _LOCAL = 0, 1
_AS4, _ADD_PATH = 65, 69
"""Capabilities (RFC 6793, RFC 7911)."""


class _Flow:
    """The connection of a session, and how its messages are encoded."""

    def __init__(self, ends: tuple[MrtPeer, MrtPeer], port: int, *, as4: bool, add_path: bool) -> None:
        self.connection = TcpConnection((ends[0].address, ends[1].address), port)
        self.as4, self.add_path = as4, add_path

    def reads(self, message: WireMessage) -> bool:
        """Whether it can contain messages with this encoding."""
        return (self.as4, self.add_path) == (message.as4, message.add_path)


class CaptureWriter:
    """Writes one capture.

    Args:
        stream: the output.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._written = ExportSummary()
        self._encoder = MessageEncoder(self._written)
        self._flows: dict[str, _Flow] = {}
        self._ports: dict[tuple[str, str], int] = {}

    async def write(self, messages: AsyncIterator[StoredMessage | SessionChange]) -> ExportSummary:
        """Write peers' messages; the ends of sessions become those of connections."""
        async for one in messages:
            frames = self._messages(one) if isinstance(one, StoredMessage) else self._end(one)
            for frame in frames:
                if not self._written.records:
                    self._stream.write(_HEADER)
                seconds, rest = divmod(one.ts - _EPOCH, timedelta(seconds=1))
                self._stream.write(struct.pack("<IIII", seconds, rest.microseconds, len(frame), len(frame)) + frame)
                self._written.records += 1
        return self._written

    def _end(self, change: SessionChange) -> Iterator[bytes]:
        is_over = change.ended and was_received(change)
        flow = self._flows.pop(name_of(change.session["peer"]), None) if is_over else None
        if flow:
            yield from flow.connection.close()

    def _messages(self, stored: StoredMessage) -> Iterator[bytes]:
        document = stored.document
        kind = document.get("kind", "update")
        local = self._encoder.local(stored)
        for message in self._encoder.messages(stored):
            name = name_of(stored.document["peer"])
            flow = self._flows.get(name)
            if kind == "open":
                offered = {one.get("code") for one in cast("MessageDocument", document)["capabilities"]}
                message = message._replace(as4=_AS4 in offered, add_path=_ADD_PATH in offered)
            if flow and (kind == "open" or (kind == "update" and not flow.reads(message))):
                yield from flow.connection.close()
                flow = None
            if flow is None:
                flow = self._flows[name] = self._begin(self._encoder.peer(stored), local, message)
                yield from flow.connection.open()
                if kind != "open":
                    yield from flow.connection.send(_PEER, _open(self._encoder.peer(stored), flow))
                yield from flow.connection.send(_LOCAL, _open(local, flow))
            yield from flow.connection.send(_LOCAL if kind in OURS else _PEER, message.data)

    def _begin(self, peer: MrtPeer, local: MrtPeer, message: WireMessage) -> _Flow:
        number = self._ports[peer.address, local.address] = self._ports.get((peer.address, local.address), -1) + 1
        port = _FIRST_PORT + number % _PORTS
        return _Flow((peer, local), port, as4=message.as4, add_path=message.add_path)


def _open(end: MrtPeer, flow: _Flow) -> bytes:
    """An OPEN that this end may have sent: its BGP identifier is unknown if its address is IPv6."""
    capabilities: list[Capability] = [{"code": 1, "families": _FAMILIES}]
    if flow.as4:
        capabilities.append({"code": _AS4, "asn4": end.asn})
    if flow.add_path:
        capabilities.append({"code": _ADD_PATH, **dict.fromkeys(_FAMILIES, "send/receive")})
    identifier = "0.0.0.1" if ":" in end.address else end.address
    fields: MessageFields = {
        "kind": "open",
        "version": 4,
        "asn": end.asn,
        "hold_time": _HOLD_TIME,
        "router_id": identifier,
        "capabilities": capabilities,
    }
    return encode_message(fields)[0].data
