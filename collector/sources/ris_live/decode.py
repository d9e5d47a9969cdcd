"""Decodes one line of the spool to one message, or to a rejection with its reason. Bad input never raises.

A peer's message is decoded from its bytes (`raw`), which are complete. The JSON fields, which lack large and extended
communities, LOCAL_PREF and everything unknown to RIS Live, are only used if there are no bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from pydantic_core import from_json

from collector.bgp.decode import BadMessageError, as_message, decode_message
from collector.bgp.families import FAMILIES
from collector.bgp.open_messages import Abilities
from collector.sources.ris_live.fields import open_fields, update_fields
from collector.sources.ris_live.lines import NAME, OURS
from collector.sources.source import Rejection
from schemas import message
from schemas.json_object import JsonObject
from schemas.message import Answer, Counted, Message, OtherSource
from schemas.message_fields import MessageFields, PeerFields, without_kind
from schemas.peer import Peer
from schemas.scalars import from_unix, normalise_address

_SOURCE: Final = OtherSource(name=NAME)
_LONGEST: Final = 2**20
_LINE: Final = re.compile(rb"(\d{1,11}\.\d{6}) (.*)", re.DOTALL)
_SESSIONS: Final = tuple(Abilities(as4=as4, families=FAMILIES) for as4 in (True, False))
"""The AS numbers of RIS's own sessions have four bytes, except with peers that do not support that."""
_UNKNOWN: Final = Peer(address="::", asn=0)
"""RIS Live does not report its own end of a session."""
_AHEAD: Final = timedelta(seconds=5)
"""How far the collector's clock may be ahead of ours."""
_DOMAIN: Final = ".ripe.net"
_STATES: Final = ("connected", "up", "down")
_Kind = Literal["update", "open", "notification", "keepalive", "state"]
_KINDS: Final[Mapping[str, _Kind]] = {
    "UPDATE": "update",
    "OPEN": "open",
    "NOTIFICATION": "notification",
    "KEEPALIVE": "keepalive",
    "RIS_PEER_STATE": "state",
}


class _FedMessage(NamedTuple):
    """A message, and its peer."""

    arrival: datetime
    data: JsonObject
    peer: Peer
    ts: datetime
    """The collector's time, or the time of arrival if that is earlier."""


def decode(raw: bytes) -> Message | Rejection:
    """Decode one line, without its newline.

    Returns:
        The message; an `Answer` for RIS Live's own messages, such as `ris_error`; a `Rejection` for everything else.
    """
    if len(raw) > _LONGEST:
        return Rejection(f"too long: {len(raw)} bytes, of {_LONGEST} at most")
    try:
        if raw.startswith(OURS):
            return _event(raw)
        arrival, parsed = _parsed(raw)
        if parsed.get("type") != "ris_message":
            return Answer(text=_LINE.sub(rb"\2", raw).decode())
        return _message(_fed_message(arrival, parsed))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        return Rejection(f"not as RIS Live says it: {reason[0][:300]}")


def counted(raw: bytes) -> Counted | None:
    """The peer and time of a line that cannot be decoded; None if these cannot be parsed either."""
    try:
        parsed = _fed_message(*_parsed(raw))
        return Counted(parsed.peer, None, None, _KINDS.get(parsed.data["type"]), parsed.ts)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError):
        return None


def _parsed(raw: bytes) -> tuple[datetime, JsonObject]:
    found = _LINE.fullmatch(raw)
    if found is None:
        raise ValueError("no time of arrival is ahead of it")
    parsed = from_json(found[2], cache_strings="keys")
    if not isinstance(parsed, dict):
        raise TypeError("no JSON object")
    return from_unix(float(found[1])), parsed


def _fed_message(arrival: datetime, parsed: JsonObject) -> _FedMessage:
    data = parsed["data"]
    host = str(data["host"]).lower().removesuffix(_DOMAIN)
    peer = Peer(address=normalise_address(data["peer"]), asn=int(data["peer_asn"]), router=host)
    ts = from_unix(float(data["timestamp"]))
    return _FedMessage(arrival, data, peer, ts if ts <= arrival + _AHEAD else arrival)


def _event(raw: bytes) -> Message:
    line = from_json(raw)
    common = {"ts": from_unix(line["time"]), "source": _SOURCE, "helper_pid": line["pid"]}
    if line["event"] == "start":
        return message.ReceiverStart(**common)
    if line["event"] == "end":
        return message.ReceiverEnd(**common)
    drop = {name: line[name] for name in ("lines", "bytes", "reason")}
    return message.Dropped(**common, since=from_unix(line["since"]), **drop)


def _message(fed: _FedMessage) -> Message:
    data = fed.data
    common: PeerFields = {"ts": fed.ts, "source": _SOURCE, "peer": fed.peer}
    kind = _KINDS.get(data["type"])
    if kind is None:
        raise ValueError(f"a message of type {str(data['type'])[:40]!r}")
    if kind == "state":
        if data["state"] not in _STATES:
            raise ValueError(f"the state {str(data['state'])[:40]!r}")
        return message.StateChange(**common, local=_UNKNOWN, state=data["state"])
    if kind == "open" and data.get("direction") == "sent":
        return message.Sent(**common, category="open", detail=without_kind(open_fields(data)))
    fields = _from_bytes(data["raw"]) if data.get("raw") else None
    if fields is None:
        fields = _from_fields(kind, data, fed.peer)
    return as_message(fields, common, _UNKNOWN)


def _from_bytes(raw: str) -> MessageFields | None:
    """The contents of a message's bytes; None if they cannot be decoded."""
    found: MessageFields | None = None
    for session in _SESSIONS:
        try:
            decoded = decode_message(bytes.fromhex(raw), session)
        except (BadMessageError, ValueError):
            continue
        if "error" not in decoded.get("attributes", {}):
            return decoded
        found = found or decoded
    return found


def _from_fields(kind: str, data: JsonObject, peer: Peer) -> MessageFields:
    if kind == "update":
        return update_fields(data, peer.address)
    if kind == "open":
        return open_fields(data)
    if kind == "notification":
        notification = data["notification"]
        words = str(notification.get("data") or "")
        return {"kind": "notification", "code": notification["code"], "subcode": notification["subcode"], "data": words}
    return {"kind": "keepalive"}
