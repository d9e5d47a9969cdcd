"""Decodes BGP messages to the fields of documents, the same as those from ExaBGP's JSON.

No I/O: what cannot be parsed raises a `BadMessageError` with the reason and the position.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, cast

from collector.bgp import exabgp_library
from collector.bgp.attributes import read_attributes
from collector.bgp.families import IPV4_UNICAST, family_name
from collector.bgp.messages import HEADER_LENGTH, KEEPALIVE_TYPE, MARKER, NOTIFICATION, OPEN, UPDATE
from collector.bgp.notifications import shutdown_communication
from collector.bgp.open_messages import Abilities, capabilities
from collector.bgp.routes import BadRouteError, NextHop, groups, next_hop, reach, unreach
from schemas import message
from schemas.attributes import Attributes, is_treated_as_withdrawn
from schemas.message import Message
from schemas.message_fields import MessageFields, PeerFields, without_kind
from schemas.message_parts import Announced, Withdrawn
from schemas.peer import Peer

ROUTE_REFRESH: Final = 5
SUBTYPES: Final = {0: "query", 1: "begin", 2: "end"}  # RFC 7313 3.2
_NO_ATTRIBUTES: Final = 4
_SHORTEST_OPEN: Final = 10


class BadMessageError(ValueError):
    """A message that cannot be parsed; the text says where and why."""


def decode_message(data: bytes, session: Abilities) -> MessageFields:
    """Decode a message to its `kind` and the fields of the model of that kind in `schemas.message`.

    Args:
        data: the whole message (RFC 4271 4.1).
        session: what both sides negotiated.

    Raises:
        BadMessageError: it cannot be parsed.
    """
    if len(data) < HEADER_LENGTH or not data.startswith(MARKER):
        raise BadMessageError("no BGP message: the marker of RFC 4271 4.1 is not there")
    length, kind = int.from_bytes(data[16:18]), data[18]
    if length != len(data):
        raise BadMessageError(f"a message of {length} bytes in {len(data)}")
    reader = _READERS.get(kind)
    if reader is None:
        raise BadMessageError(f"a message of type {kind}, which RFC 4271 and its successors do not know")
    try:
        return reader(data[HEADER_LENGTH:], session)
    except BadRouteError as error:
        raise BadMessageError(f"UPDATE: {error}") from error
    except ValueError as error:
        raise BadMessageError(str(error)) from error


def _update(body: bytes, session: Abilities) -> MessageFields:
    """UPDATE (RFC 4271 4.3), or End-of-RIB (RFC 4724 2)."""
    if len(body) < _NO_ATTRIBUTES:
        raise BadMessageError(f"UPDATE: {len(body)} bytes are too few")
    behind_withdrawn = 2 + int.from_bytes(body[:2])
    begin = behind_withdrawn + 2
    end = begin + int.from_bytes(body[behind_withdrawn:begin])
    if end > len(body):
        raise BadMessageError("UPDATE: its lengths reach beyond it (RFC 4271 6.3)")
    attributes, hop, reached, unreached = read_attributes(body[begin:end], as4=session.as4)
    add_path = IPV4_UNICAST in session.add_path
    withdraw: list[Announced] = []
    announce: list[Announced] = []
    if behind_withdrawn > 2:
        withdraw += groups(IPV4_UNICAST, body[2:behind_withdrawn], "withdraw", add_path=add_path)
    if end < len(body):
        ipv4 = groups(IPV4_UNICAST, body[end:], "announce", add_path=add_path)
        announce += _with_hop(ipv4, next_hop(hop))
    if unreached is not None:
        family, routes = unreach(unreached)
        if routes:
            withdraw += groups(family, routes, "withdraw", add_path=family in session.add_path)
        elif not (withdraw or announce or reached or attributes):
            return {"kind": "eor", "family": family_name(family)}
    if reached is not None:
        family, hop, routes = reach(reached)
        if routes:
            mp = groups(family, routes, "announce", add_path=family in session.add_path, hop=hop)
            announce += _with_hop(mp, next_hop(hop))
    if len(body) == _NO_ATTRIBUTES:
        return {"kind": "eor", "family": family_name(IPV4_UNICAST)}
    return _document(attributes, announce, withdraw)


def _with_hop(found: list[Announced], hop: NextHop) -> list[Announced]:
    for group in found:
        if hop.address:
            group["next_hop"] = hop.address
        if hop.link_local:
            group["link_local"] = hop.link_local
    return found


def _document(attributes: Attributes, announce: list[Announced], withdraw: list[Announced]) -> MessageFields:
    if is_treated_as_withdrawn(attributes.get("error")):  # RFC 7606 2
        for group in announce:
            group.pop("next_hop", None)
            group.pop("link_local", None)
        announce, withdraw = [], announce + withdraw
    elif announce and "as_path" not in attributes:
        attributes = {**attributes, "as_path": ""}
    document: MessageFields = {"kind": "update"}
    if attributes:
        document["attributes"] = attributes
    if announce:
        document["announce"] = announce
    if withdraw:
        document["withdraw"] = withdraw
    return document


def _open(body: bytes, _session: Abilities) -> MessageFields:
    """OPEN (RFC 4271 4.2); capabilities that ExaBGP cannot parse are kept as bytes."""
    if len(body) < _SHORTEST_OPEN:
        raise BadMessageError(f"OPEN: {len(body)} bytes are too few (RFC 4271 4.2)")
    try:
        offered = exabgp_library.capabilities(body[9:])
    except exabgp_library.UnreadError:
        offered = [{"code": code, "bytes": value.hex()} for code, value in capabilities(body)]
    return {
        "kind": "open",
        "version": body[0],
        "asn": int.from_bytes(body[1:3]),
        "hold_time": int.from_bytes(body[3:5]),
        "router_id": socket.inet_ntoa(body[5:9]),
        "capabilities": offered,
    }


def _keepalive(body: bytes, _session: Abilities) -> MessageFields:
    if body:
        raise BadMessageError(f"KEEPALIVE: {len(body)} bytes too many (RFC 4271 4.4)")
    return {"kind": "keepalive"}


def _notification(body: bytes, _session: Abilities) -> MessageFields:
    if len(body) < 2:
        raise BadMessageError("NOTIFICATION: no error code (RFC 4271 4.5)")
    fields: MessageFields = {
        "kind": "notification",
        "code": body[0],
        "subcode": body[1],
        "data": body[2:].hex().upper(),
    }
    if text := shutdown_communication(body):
        fields["text"] = text
    return fields


def _refresh(body: bytes, _session: Abilities) -> MessageFields:
    if len(body) < 4:
        raise BadMessageError("ROUTE-REFRESH: no family (RFC 2918 3)")
    subtype = SUBTYPES.get(body[2], str(body[2]))
    return {"kind": "refresh", "family": family_name((int.from_bytes(body[:2]), body[3])), "subtype": subtype}


_READERS: Final[dict[int, Callable[[bytes, Abilities], MessageFields]]] = {
    OPEN: _open,
    UPDATE: _update,
    NOTIFICATION: _notification,
    KEEPALIVE_TYPE: _keepalive,
    ROUTE_REFRESH: _refresh,
}


def as_message(decoded: MessageFields, common: PeerFields, local: Peer) -> Message:
    """The model of a message, from the result of `decode_message`.

    Args:
        decoded: the result of `decode_message`.
        common: the fields that all messages of a peer have.
        local: our end of the session.

    Raises:
        ValueError: a field is invalid.
    """
    kind = decoded["kind"]
    if kind == "update":  # nearly all messages
        attributes, announced = decoded.get("attributes"), decoded.get("announce")
        withdrawn = cast("list[Withdrawn] | None", decoded.get("withdraw"))
        ts, source, peer = common["ts"], common["source"], common["peer"]
        return message.Update(ts, source, peer, common.get("wire"), attributes, announced, withdrawn)
    fields: dict[str, Any] = {**common, **without_kind(decoded)}
    if kind == "open":
        fields["local"] = local
    made: Message = _MODELS[kind](**fields)
    return made


_MODELS: Final[dict[str, Any]] = {
    "eor": message.EndOfRib,
    "open": message.Open,
    "keepalive": message.Keepalive,
    "notification": message.Notification,
    "refresh": message.Refresh,
}
