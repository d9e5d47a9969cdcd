"""Converts a parsed line of ExaBGP to a message."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from pydantic import TypeAdapter

from schemas import message
from schemas.attributes import Attributes
from schemas.exabgp.attributes import read_attributes, with_bytes
from schemas.exabgp.routes import read_announced, read_withdrawn
from schemas.exabgp.shapes import (
    HELPER_LINE,
    NEIGHBOR_LINE,
    SHUTDOWN_LINE,
    Body,
    HelperLine,
    JsonUpdate,
    Neighbor,
    NeighborLine,
    required,
)
from schemas.json_object import JsonObject
from schemas.message import ExabgpProcess, Message
from schemas.message_fields import PeerFields
from schemas.message_parts import Announced, Capability, Withdrawn
from schemas.peer import Peer
from schemas.scalars import Uint8, from_unix, storable

_CODE = TypeAdapter(Uint8)


# without the adapter's overhead, because nearly all lines come this way
_validate = NEIGHBOR_LINE.validator.validate_python


def to_message(line: JsonObject) -> Message:
    """Translate one parsed line of ExaBGP, or of our receiver.

    Raises:
        ValueError: (or pydantic's ValidationError) it is not such a line; the text says where and why.
    """
    if "neighbor" in line:
        return _from_neighbor(_validate(line))
    if "bgpledger" in line:
        return _from_helper(HELPER_LINE.validate_python(line))
    if "notification" in line:
        shutdown = SHUTDOWN_LINE.validate_python(line)
        return message.Shutdown(
            ts=from_unix(shutdown["time"]), source=ExabgpProcess(shutdown["pid"], shutdown.get("counter"))
        )
    raise ValueError("an object without a neighbor: not a line of ExaBGP's")


def _from_helper(line: HelperLine) -> Message:
    common: JsonObject = {
        "ts": from_unix(line["time"]),
        "source": ExabgpProcess(pid=line["ppid"]),
        "helper_pid": line["pid"],
    }
    if line["event"] == "start":
        return message.ReceiverStart(**common, incarnation=line.get("incarnation"), reloads=line.get("reloads"))
    if line["event"] == "reload":
        return message.Reload(**common, reloads=required(line, "reloads"))
    if line["event"] == "clock":
        return message.ClockSet(**common, step=required(line, "step"))
    if line["event"] == "end":
        return message.ReceiverEnd(**common, source_ended=line.get("ended"))
    counts = {key: required(line, key) for key in ("lines", "bytes", "reason")}
    return message.Dropped(**common, since=from_unix(required(line, "since")), **counts)


def _from_neighbor(line: NeighborLine) -> Message:
    neighbor, kind = line["neighbor"], line["type"]
    ts, source = from_unix(line["time"]), ExabgpProcess(line["pid"], line.get("counter"))
    peer = peer_of(neighbor["address"]["peer"], neighbor["asn"]["peer"])
    wire = _bytes(line["header"]) + _bytes(line.get("body", "0x")) if "header" in line else None
    body = neighbor.get("message", _NO_BODY)
    if kind == "update" and "update" in body and "header" not in body:
        of = message.SentUpdate if neighbor.get("direction") == "send" else message.Update
        return of(ts, source, peer, wire, *_contents(wire, body["update"]))
    common: PeerFields = {"ts": ts, "source": source, "peer": peer, "wire": wire}
    if neighbor.get("direction") == "send":
        detail = {key: value for key, value in neighbor.items() if key not in ("address", "asn", "direction")}
        return message.Sent(**common, category=kind, detail=storable(detail))
    if "header" in body:
        common["wire"] = _bytes(body["header"]) + _bytes(body.get("body", "0x"))
        return message.Packet(**common, category=kind)
    try:
        translate = _TRANSLATIONS[kind]
    except KeyError:
        raise ValueError(f"no such type of line: {kind[:60]!r}") from None
    return translate(common, neighbor)


_NO_BODY: Body = {}


@lru_cache(maxsize=1024)
def peer_of(address: str, asn: int) -> Peer:
    """The peer with this address, normalised, and AS number.

    Raises:
        ValueError: it is not an AS number.
    """
    return Peer(address=address, asn=asn)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _contents(
    wire: bytes | None, update: JsonUpdate
) -> tuple[Attributes | None, list[Announced] | None, list[Withdrawn] | None]:
    """The contents of an UPDATE: its attributes, its announced and its withdrawn routes."""
    announce, withdraw, attribute = update.get("announce"), update.get("withdraw"), update.get("attribute")
    attributes = None if attribute is None else read_attributes(attribute, announces=bool(announce))
    if attributes and wire is not None:
        attributes = with_bytes(attributes, wire)
    return (
        attributes,
        read_announced(announce) if announce else None,
        read_withdrawn(withdraw) if withdraw else None,
    )


def _end_of_rib(common: PeerFields, neighbor: Neighbor) -> Message:
    end_of_rib = required(neighbor, "message").get("eor")
    if end_of_rib is None:
        raise ValueError("a message with neither 'update' nor 'eor'")
    return message.EndOfRib(**common, family=f"{end_of_rib['afi']} {end_of_rib['safi']}")


def _open(common: PeerFields, neighbor: Neighbor) -> Message:
    open_message = required(neighbor, "open")
    return message.Open(
        **common,
        local=_local(neighbor),
        version=open_message["version"],
        asn=open_message["asn"],
        hold_time=open_message["hold_time"],
        router_id=open_message["router_id"],
        capabilities=[_capability(code, value) for code, value in open_message["capabilities"].items()],
    )


def _capability(number: str, value: JsonObject) -> Capability:
    code = _CODE.validate_python(number)
    return {"code": code, **{key: item for key, item in storable(value).items() if key != "code"}}


def _keepalive(common: PeerFields, _neighbor: Neighbor) -> Message:
    return message.Keepalive(**common)


def _notification(common: PeerFields, neighbor: Neighbor) -> Message:
    notification = required(neighbor, "notification")
    return message.Notification(
        **common,
        code=required(notification, "code"),
        subcode=required(notification, "subcode"),
        data=notification.get("data", "0x").removeprefix("0x"),
        text=notification.get("message") or None,
    )


def _refresh(common: PeerFields, neighbor: Neighbor) -> Message:
    refresh = required(neighbor, "route-refresh")
    return message.Refresh(**common, family=f"{refresh['afi']} {refresh['safi']}", subtype=refresh["subtype"])


def _state(common: PeerFields, neighbor: Neighbor) -> Message:
    return message.StateChange(
        **common,
        local=_local(neighbor),
        router_id=neighbor.get("router-id"),
        state=required(neighbor, "state"),
        reason=neighbor.get("reason"),
    )


def _operational(common: PeerFields, neighbor: Neighbor) -> Message:
    return message.Detail(**common, kind="operational", detail=storable(required(neighbor, "operational")))


def _negotiated(common: PeerFields, neighbor: Neighbor) -> Message:
    return message.Detail(**common, kind="negotiated", detail=storable(required(neighbor, "negotiated")))


def _fsm(common: PeerFields, neighbor: Neighbor) -> Message:
    return message.Detail(**common, kind="fsm", detail={"state": required(neighbor, "state")})


def _signal(common: PeerFields, neighbor: Neighbor) -> Message:
    detail = {"code": storable(int(required(neighbor, "code"))), "name": neighbor.get("name")}
    return message.Detail(**common, kind="signal", detail=detail)


def _local(neighbor: Neighbor) -> Peer:
    return Peer(address=neighbor["address"]["local"], asn=neighbor["asn"]["local"])


_TRANSLATIONS: dict[str, Callable[[PeerFields, Neighbor], Message]] = {
    "update": _end_of_rib,
    "open": _open,
    "keepalive": _keepalive,
    "notification": _notification,
    "refresh": _refresh,
    "state": _state,
    "operational": _operational,
    "negotiated": _negotiated,
    "fsm": _fsm,
    "signal": _signal,
}
