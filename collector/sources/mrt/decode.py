"""Decodes one MRT record to one message, or to a rejection with its reason. Bad input never raises."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Final

from collector.bgp import mrt_messages
from collector.bgp.decode import BadMessageError, as_message, decode_message
from collector.bgp.families import FAMILIES, Family
from collector.bgp.messages import HEADER_LENGTH
from collector.bgp.mrt_header import UnreadableError
from collector.bgp.mrt_messages import MrtMessage, MrtPeer, MrtStateChange
from collector.bgp.open_messages import Abilities
from collector.sources.source import Rejection
from schemas import message
from schemas.message import Counted, Message, OtherSource
from schemas.message_fields import MessageFields, PeerFields
from schemas.peer import Peer
from schemas.scalars import from_unix

_SOURCE: Final = OtherSource(name="mrt")
_ESTABLISHED: Final = 6
_STATES: Final = {1: "Idle", 2: "Connect", 3: "Active", 4: "OpenSent", 5: "OpenConfirm", _ESTABLISHED: "Established"}
_DEFAULT: Final = "0.0.0.0/0"

_SESSIONS: Final = {
    (as4, add_path): Abilities(as4=as4, families=FAMILIES, add_path=FAMILIES if add_path else frozenset[Family]())
    for as4, add_path in product((True, False), repeat=2)
}
"""How the session of a message is encoded, by the record's subtype."""


def decode(raw: bytes, source: OtherSource = _SOURCE, *, with_router: bool = False) -> Message | Rejection:
    """Decode one record with its header.

    Args:
        raw: the record.
        source: where it comes from.
        with_router: whether peers are distinguished by the router that receives them, the session's other end.

    Returns:
        The message; for a state change to or from Established, that of a session that came up or ended. A `Rejection`
        for everything else.
    """
    try:
        record = mrt_messages.parse(raw)
        common: PeerFields = {
            "ts": from_unix(record.time),
            "source": source,
            "peer": _peer(record, with_router=with_router),
        }
    except (UnreadableError, ValueError) as error:
        return Rejection(f"the MRT record {error}")
    local = _cached_peer(record.collector, None)
    if isinstance(record, MrtStateChange):
        return _state(common, local, record.old, record.new)
    if record.local:
        return message.Sent(**common, category=str(record.data[18]), detail={"bytes": record.data.hex()})
    try:
        decoded = decode_message(record.data, _SESSIONS[record.as4, record.add_path])
    except BadMessageError as error:
        return Rejection(_mislabelled(record) or str(error))
    if not record.add_path and _has_two_defaults(decoded) and (reason := _mislabelled(record)):
        return Rejection(reason)
    return as_message(decoded, common, local)


def counted(raw: bytes, *, with_router: bool = False) -> Counted | None:
    """The peer and time of a record that cannot be decoded; None if these cannot be parsed either."""
    try:
        record = mrt_messages.parse(raw)
        peer = _peer(record, with_router=with_router)
        return Counted(peer, None, None, _kind(record), from_unix(record.time))
    except (UnreadableError, ValueError):
        return None


def _peer(record: mrt_messages.Record, *, with_router: bool) -> Peer:
    return _cached_peer(record.peer, record.collector.address if with_router else None)


@lru_cache(maxsize=16384)
def _cached_peer(known: MrtPeer, router: str | None) -> Peer:
    return Peer(address=known.address, asn=known.asn, router=router)


def _kind(record: mrt_messages.Record) -> str:
    kinds = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "refresh"}
    return kinds.get(record.data[18], "message") if isinstance(record, MrtMessage) else "state"


def _state(common: PeerFields, local: Peer, old: int, new: int) -> Message:
    """A state change of the session (RFC 6396 4.4.1)."""
    states = [_STATES.get(state, str(state)) for state in (old, new)]
    if new == _ESTABLISHED and old != _ESTABLISHED:
        return message.StateChange(**common, local=local, state="up")
    if old == _ESTABLISHED and new != _ESTABLISHED:
        return message.StateChange(**common, local=local, state="down", reason=" to ".join(states))
    return message.Detail(**common, kind="fsm", detail={"from": states[0], "state": states[1]})


def _has_two_defaults(decoded: MessageFields) -> bool:
    """Whether one field has the default route twice, which happens if path identifiers are read as routes."""
    groups = (*decoded.get("announce", ()), *decoded.get("withdraw", ()))
    return any(group.get("nlri", []).count(_DEFAULT) > 1 for group in groups)


def _mislabelled(record: MrtMessage) -> str | None:
    """What is wrong with a record whose routes can only be decoded with path identifiers (RFC 8050 1)."""
    if record.add_path or len(record.data) <= HEADER_LENGTH:
        return None
    try:
        decode_message(record.data, _SESSIONS[record.as4, True])
    except BadMessageError:
        return None
    return "its routes have path identifiers (RFC 7911), and the MRT record's subtype is not one of those (RFC 8050)"
