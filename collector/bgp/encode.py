"""Encodes BGP messages from documents: the inverse of `collector.bgp.decode`.

It is only needed if the original bytes (`wire`) are not stored. AS numbers have four bytes. What is stored only as text
cannot be encoded: it is left out and reported, or the whole message is refused.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from collector.bgp.decode import ROUTE_REFRESH, SUBTYPES
from collector.bgp.encode_attributes import attribute_bytes
from collector.bgp.encode_capabilities import parameters_bytes
from collector.bgp.encode_routes import UnwritableError, field_of, has_path_ids, is_classic, next_hop_bytes
from collector.bgp.families import IPV4_UNICAST, Family, family_number
from collector.bgp.messages import HEADER_LENGTH, KEEPALIVE, NOTIFICATION, OPEN, UPDATE, message
from collector.bgp.open_messages import AS_TRANS
from collector.bgp.routes import Event
from schemas.attributes import Attributes
from schemas.message_fields import MessageFields
from schemas.stored import GroupDocument, MessageDocument, UpdateDocument

_Other = MessageDocument | MessageFields
"""A message with its kind."""
Encodable = UpdateDocument | _Other


class MessageBytes(NamedTuple):
    """One BGP message."""

    data: bytes
    """With its header (RFC 4271 4.1)."""
    add_path: bool = False
    """Whether its routes have path identifiers (RFC 7911 3)."""
    left_out: tuple[str, ...] = ()
    """What the document has and the bytes lack."""


def encode_message(document: Encodable) -> list[MessageBytes]:
    """Encode the message of a document of `updates` or `messages`.

    Args:
        document: a document with its `kind`; without one it is an UPDATE.

    Returns:
        Usually one message. Routes that do not fit into a single UPDATE, because they have several next hops, or only
        some have path identifiers, are spread over several, in order.

    Raises:
        UnwritableError: it cannot be encoded; the text names the part that cannot.
    """
    writer = _WRITERS.get(_kind(document))
    if writer is None:
        raise UnwritableError(f"messages of kind {_kind(document)}")
    try:
        return writer(document)
    except UnwritableError:
        raise
    except (ValueError, OverflowError, OSError, struct.error, KeyError, TypeError) as error:
        raise UnwritableError("messages with values that do not fit into one") from error


def _kind(document: Encodable) -> str:
    return str(document.get("kind", "update"))


# --- UPDATE -----------------------------------------------------------------------------------------------------------


@dataclass
class _UpdateFields:
    """The fields of one UPDATE (RFC 4271 4.3), while routes are added to it."""

    add_path: bool | None = None
    """None: no route has been added yet."""
    withdrawn: bytearray = field(default_factory=bytearray)
    nlri: bytearray = field(default_factory=bytearray)
    next_hop: bytes = b""
    unreach: tuple[Family, bytearray] | None = None
    reach: tuple[Family, bytes, bytearray] | None = None

    def takes(self, group: GroupDocument, event: Event) -> bool:
        """Add a group of routes if there is a place for them; returns whether it was added."""
        if self.add_path not in (None, has_path_ids(group)):
            return False
        family, hop = family_number(group["family"]), next_hop_bytes(family_number(group["family"]), group)
        if is_classic(group):
            if event == "announce" and self.nlri and hop != self.next_hop:
                return False
            (self.nlri if event == "announce" else self.withdrawn).extend(field_of(group, event))
            self.next_hop = hop or self.next_hop
        elif event == "withdraw":
            self.unreach = self.unreach or (family, bytearray())
            if self.unreach[0] != family:
                return False
            self.unreach[1].extend(field_of(group, event))
        else:
            self.reach = self.reach or (family, hop, bytearray())
            if self.reach[:2] != (family, hop):
                return False
            self.reach[2].extend(field_of(group, event))
        self.add_path = has_path_ids(group)
        return True

    def written(self, attributes: Attributes) -> MessageBytes:
        """The whole message."""
        reach = unreach = None
        if self.reach:
            (afi, safi), hop, routes = self.reach
            reach = struct.pack(">HBB", afi, safi, len(hop)) + hop + b"\0" + routes
        if self.unreach:
            (afi, safi), routes = self.unreach
            unreach = struct.pack(">HB", afi, safi) + routes
        data, left_out = attribute_bytes(attributes, next_hop=self.next_hop, reach=reach, unreach=unreach)
        body = len(self.withdrawn).to_bytes(2) + self.withdrawn + len(data).to_bytes(2) + data + self.nlri
        return MessageBytes(message(UPDATE, bytes(body)), bool(self.add_path), left_out)


def _update(document: Encodable) -> list[MessageBytes]:
    updates = [_UpdateFields()]
    for event, group in _groups(document):
        if not updates[-1].takes(group, event):
            updates.append(_UpdateFields())
            updates[-1].takes(group, event)
    attributes: Attributes = document.get("attributes", {})
    if updates[0].add_path is None and not attributes:
        raise UnwritableError("UPDATEs that say nothing")
    return [one.written(attributes) for one in updates]


def _groups(document: Encodable) -> Iterator[tuple[Event, GroupDocument]]:
    for withdrawn in document.get("withdraw", ()):
        yield "withdraw", withdrawn
    for announced in document.get("announce", ()):
        yield "announce", announced


def _end_of_rib(document: _Other) -> list[MessageBytes]:
    """RFC 4724 2."""
    family = family_number(document["family"])
    unreach = None if family == IPV4_UNICAST else struct.pack(">HB", *family)
    data = attribute_bytes({}, unreach=unreach).data
    return [MessageBytes(message(UPDATE, bytes(2) + len(data).to_bytes(2) + data))]


# --- all other messages -----------------------------------------------------------------------------------------------


def _open(document: _Other) -> list[MessageBytes]:
    asn = document["asn"]  # ExaBGP 5 prints the AS number of capability 65
    fixed = struct.pack(
        ">BHH4s",
        *(document["version"], asn if asn < 2**16 else AS_TRANS, document["hold_time"]),
        socket.inet_aton(document["router_id"]),
    )
    parameters, codes = parameters_bytes(document["capabilities"])
    left_out = tuple(f"capability {code}" for code in codes)
    return [MessageBytes(message(OPEN, fixed + parameters), left_out=left_out)]


def _keepalive(_document: _Other) -> list[MessageBytes]:
    return [MessageBytes(KEEPALIVE)]


def _notification(document: _Other) -> list[MessageBytes]:
    codes, data = bytes((document["code"], document["subcode"])), bytes.fromhex(document["data"].removeprefix("0x"))
    if words := _COMMUNICATION.fullmatch(data):  # ExaBGP has put its own text around that of RFC 9003 2
        data = bytes((len(words[1]),)) + words[1]
    return [MessageBytes(message(NOTIFICATION, codes + data))]


_COMMUNICATION: Final = re.compile(rb'Shutdown Communication: "(.{0,255})"', re.DOTALL)
_SUBTYPE_NUMBERS: Final = {name: number for number, name in SUBTYPES.items()}


def _refresh(document: _Other) -> list[MessageBytes]:
    """RFC 2918 3, RFC 7313 3.2."""
    afi, safi = family_number(document["family"])
    subtype = document["subtype"]
    number = _SUBTYPE_NUMBERS[subtype] if subtype in _SUBTYPE_NUMBERS else int(subtype)
    return [MessageBytes(message(ROUTE_REFRESH, struct.pack(">HBB", afi, number, safi)))]


def _sent(document: MessageDocument) -> list[MessageBytes]:
    """A message that ExaBGP sent, if its bytes are stored."""
    kept = document["detail"].get("bytes")
    if not isinstance(kept, str) or len(kept) < 2 * HEADER_LENGTH:
        raise UnwritableError("messages that ExaBGP sent")
    return [MessageBytes(bytes.fromhex(kept))]


_WRITERS: Final[dict[str, Callable[[Any], list[MessageBytes]]]] = {
    "update": _update,
    "eor": _end_of_rib,
    "open": _open,
    "keepalive": _keepalive,
    "notification": _notification,
    "refresh": _refresh,
    "sent": _sent,
    "sent_update": _update,
}
