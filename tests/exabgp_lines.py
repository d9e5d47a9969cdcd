"""Lines as ExaBGP itself prints them, of UPDATEs as they come on the wire: of any family, and of anything in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import ip_address

from exabgp.bgp.message import Notification  # type: ignore[import-untyped]  # it has no types
from exabgp.bgp.message.action import Action  # type: ignore[import-untyped]
from exabgp.bgp.message.direction import Direction  # type: ignore[import-untyped]
from exabgp.bgp.message.open.capability import Negotiated  # type: ignore[import-untyped]
from exabgp.bgp.message.update import Update  # type: ignore[import-untyped]
from exabgp.bgp.message.update.attribute import Attribute  # type: ignore[import-untyped]
from exabgp.bgp.neighbor import Neighbor  # type: ignore[import-untyped]
from exabgp.logger import log  # type: ignore[import-untyped]
from exabgp.protocol.family import AFI, SAFI, Family  # type: ignore[import-untyped]
from exabgp.reactor.api.response import Response  # type: ignore[import-untyped]
from exabgp.util import hexstring  # type: ignore[import-untyped]
from exabgp.version import json as json_version  # type: ignore[import-untyped]

from collector.bgp.messages import message
from tests.support import Router

log.silence()

ORIGIN = b"\x40\x01\x01\x00"
NEXT_HOP = b"\x40\x03\x04\xc0\x00\x02\x01"


def attribute(flags: int, code: int, value: bytes) -> bytes:
    """A path attribute (RFC 4271 4.3)."""
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, code, len(value)) + value
    return struct.pack(">BBB", flags, code, len(value)) + value


def as_path(*asns: int, kind: int = 2) -> bytes:
    """AS_PATH with one segment, of four bytes an AS."""
    return attribute(0x40, 2, bytes((kind, len(asns))) + b"".join(asn.to_bytes(4) for asn in asns))


def reach(afi: int, safi: int, next_hop: bytes, nlri: bytes) -> bytes:
    """MP_REACH_NLRI (RFC 4760 3)."""
    return attribute(0x80, 14, struct.pack(">HBB", afi, safi, len(next_hop)) + next_hop + b"\0" + nlri)


def unreach(afi: int, safi: int, nlri: bytes) -> bytes:
    """MP_UNREACH_NLRI (RFC 4760 4)."""
    return attribute(0x80, 15, struct.pack(">HB", afi, safi) + nlri)


def prefixes(*texts: str, before: bytes = b"") -> bytes:
    """NLRI of prefixes, each behind the same labels and route distinguisher."""
    said = b""
    for text in texts:
        address, _, length = text.partition("/")
        body = ip_address(address).packed[: (int(length) + 7) // 8]
        said += bytes((int(length) + 8 * len(before),)) + before + body
    return said


def packed(*addresses: str) -> bytes:
    """Addresses behind one another."""
    return b"".join(ip_address(one).packed for one in addresses)


def body(attributes: bytes = b"", announce: bytes = b"", withdraw: bytes = b"") -> bytes:
    """An UPDATE without its header (RFC 4271 4.3)."""
    return struct.pack(">H", len(withdraw)) + withdraw + struct.pack(">H", len(attributes)) + attributes + announce


def with_bytes(line: bytes, wire: bytes) -> bytes:
    """A line with its message's bytes, as ExaBGP prints them when asked to `consolidate`."""
    said = f', "header": "0x{wire[:19].hex()}"' + (f', "body": "0x{wire[19:].hex()}"' if wire[19:] else "")
    before, neighbor, behind = line.partition(b', "neighbor"')
    return before + said.encode() + neighbor + behind


class Speaker(Router):
    """A router whose UPDATEs are given in bytes, to an ExaBGP that offers all families."""

    def __init__(self, *, next_hops: Sequence[tuple[int, int, int]] = (), consolidate: bool = False) -> None:
        super().__init__()
        self._consolidate = consolidate
        self._neighbor = Neighbor()
        self._negotiated = Negotiated(self._neighbor)
        self._negotiated.asn4 = True
        self._negotiated.aigp = True
        self._negotiated.families = list(Family.size)
        self._negotiated.nexthop = [(AFI.create(afi), SAFI.create(safi), AFI.create(of)) for afi, safi, of in next_hops]

    def hear(self, attributes: bytes = b"", announce: bytes = b"", withdraw: bytes = b"") -> bytes:
        """The line of an UPDATE."""
        said = body(attributes, announce, withdraw)
        update = Update.unpack_message(said, Direction.IN, self._negotiated)
        if Attribute.CODE.INTERNAL_TREAT_AS_WITHDRAW in update.attributes:  # as exabgp/reactor/protocol.py does
            for nlri in update.nlris:
                nlri.action = Action.WITHDRAW
        text = Response.JSON(json_version)._update(update)["message"]
        line = self.line("update", direction="receive", message="MESSAGE").replace(b'"MESSAGE"', str(text).encode())
        if not self._consolidate:
            return line
        return with_bytes(line, message(2, said))

    def hear_notification(self, said: bytes) -> bytes:
        """The line of a NOTIFICATION, given without its header."""
        notification = Notification.unpack_message(said, Direction.IN, self._negotiated)
        text = Response.JSON(json_version)._kv(
            {
                "code": notification.code,
                "subcode": notification.subcode,
                "data": hexstring(notification.data),
                "message": notification.data.decode("utf-8", "replace"),
            }
        )
        line = self.line("notification", direction="receive", notification="SAID")
        return line.replace(b'"SAID"', f"{{ {text} }}".encode())
