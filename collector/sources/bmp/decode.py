"""Decodes one record to one message, or to a rejection with its reason. Bad input never raises."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from collector.bgp.decode import BadMessageError, as_message, decode_message
from collector.bgp.families import FAMILIES
from collector.bgp.messages import HEADER_LENGTH, UPDATE
from collector.bgp.open_messages import Abilities
from collector.bgp.routes import distinguisher
from collector.sources.bmp import events, messages, words
from collector.sources.bmp.messages import BadBmpError, PeerHeader
from collector.sources.bmp.record import AddPath, Facts, Record, Ways, unpack
from collector.sources.source import Rejection
from schemas import message
from schemas.json_object import JsonObject
from schemas.message import Counted, Message, OtherSource
from schemas.message_fields import PeerFields, without_kind
from schemas.peer import Peer, Rib
from schemas.scalars import from_unix, storable

NAME: Final = "bmp"
_PDU, _INFORMATION = 0, 1  # TLVs of Route Mirroring (RFC 7854 4.7)
_ERRORED, _LOST = 0, 1


def decode(raw: bytes) -> Message | Rejection:
    """Decode one record."""
    try:
        if raw.startswith(events.MARK):
            return events.read(raw)
        record = unpack(raw)
    except ValueError as error:
        return Rejection(str(error))
    kind = record.message[messages.COMMON.size - 1] if len(record.message) >= messages.COMMON.size else None
    name = messages.NAMES.get(kind, "BMP message") if kind is not None else "BMP message"
    try:
        version, length, kind = _common(record.message)
        if version != messages.VERSION:
            return Rejection(f"BMP of version {version}; RFC 7854 is version {messages.VERSION}")
        if length != len(record.message):
            return Rejection(f"a BMP message of {length} bytes, of which {len(record.message)} are here")
        if kind in messages.OF_A_PEER:
            return _of_peer(record, kind)
        return _of_router(record, kind)
    except (BadBmpError, BadMessageError, ValueError) as error:
        return Rejection(f"{name}: {error}")


def counted(raw: bytes) -> Counted | None:
    """The peer and time of a record that cannot be decoded; None if these cannot be parsed either."""
    try:
        record = unpack(raw)
        version, _length, kind = _common(record.message)
        if version != messages.VERSION or kind not in messages.OF_A_PEER:
            return None
        header = messages.peer_header(record.message)
        what = "state" if kind in (messages.PEER_UP, messages.PEER_DOWN) else "statistics"
        if kind in (messages.ROUTE_MONITORING, messages.ROUTE_MIRRORING):
            what = "update"  # it may have been one
        monitored = kind == messages.ROUTE_MONITORING
        return Counted(_peer(record.router, header, monitored=monitored), None, None, what, _time(record))
    except ValueError:
        return None


def _common(whole: bytes) -> tuple[int, int, int]:
    if len(whole) < messages.COMMON.size:
        raise BadBmpError(f"{len(whole)} bytes, of which a header alone takes {messages.COMMON.size} (RFC 7854 4.1)")
    version, length, kind = messages.COMMON.unpack_from(whole)
    return version, length, kind


def _time(record: Record) -> Any:
    return from_unix(record.arrival)


# --- messages about the router itself ---------------------------------------------------------------------------------


def _of_router(record: Record, kind: int) -> Message:
    """Initiation, Termination, and unknown types."""
    body = record.message[messages.COMMON.size :]
    common: JsonObject = {
        "ts": _time(record),
        "source": OtherSource(name=NAME),
        "router": record.router,
        "port": record.port,
    }
    if kind == messages.INITIATION:
        information = words.information(messages.tlvs(body))
        return message.RouterEvent(**common, event="initiation", detail=storable(information))
    if kind == messages.TERMINATION:
        reason, information = words.termination(messages.tlvs(body))
        return message.RouterEvent(**common, event="termination", reason=reason, detail=storable(information) or None)
    return message.RouterEvent(**common, event="unknown", detail={"type": kind, "bytes": body.hex()})


# --- messages about one of its peers ----------------------------------------------------------------------------------


class _PeerMessage(NamedTuple):
    """A router's message about a peer."""

    record: Record
    header: PeerHeader
    body: bytes

    @property
    def local(self) -> Peer:
        """The router, whose AS is only known from its OPENs."""
        return _cached_local(self.record.router)

    def common(self, *, monitored: bool = False, **more: Any) -> PeerFields:
        """The fields that every message has."""
        return {
            "ts": _time(self.record),
            "source": _source(self.record, self.header, more),
            "peer": _peer(self.record.router, self.header, monitored=monitored),
        }


def _of_peer(record: Record, kind: int) -> Message:
    peer_message = _PeerMessage(record, messages.peer_header(record.message), record.message[messages.PEER_DATA_AT :])
    if kind == messages.ROUTE_MONITORING:
        return _monitored(peer_message)
    if kind == messages.ROUTE_MIRRORING:
        return _mirrored(peer_message)
    if kind == messages.PEER_UP:
        return _up(peer_message)
    if kind == messages.PEER_DOWN:
        reason = words.peer_down(peer_message.body)
        return message.StateChange(**peer_message.common(), local=peer_message.local, state="down", reason=reason)
    counts = words.statistics(messages.tlvs(peer_message.body[4:]))
    return message.Detail(**peer_message.common(), kind="statistics", detail=storable(counts))


def _source(record: Record, header: PeerHeader, more: JsonObject) -> OtherSource:
    """Where a message about a peer comes from: the connection, and the router's own time, with any doubt about it."""
    fields: JsonObject = {"name": NAME, "port": record.port}
    if header.time is None:
        fields["time_doubt"] = "absent"
    else:
        fields["router_time"] = from_unix(header.time)
        if record.facts & Facts.BACKWARDS:
            fields["time_doubt"] = "backwards"
        elif record.facts & Facts.STANDING:
            fields["time_doubt"] = "standing"
    if header.is_filtered:
        fields["filtered"] = True
    return OtherSource(**fields, **more)


def _peer(router: str, header: PeerHeader, *, monitored: bool) -> Peer:
    rib = _rib(header) if monitored or header.is_loc_rib else None
    return _cached_peer(header.spelled, header.asn, router, header.distinguisher, rib)


@lru_cache(maxsize=1024)
def _cached_local(router: str) -> Peer:
    return Peer(address=router, asn=0)


@lru_cache(maxsize=16384)
def _cached_peer(address: str, asn: bytes, router: str, rd: bytes, rib: Rib | None) -> Peer:
    return Peer(address=address, asn=int.from_bytes(asn), router=router, rd=distinguisher(rd), rib=rib)


def _rib(header: PeerHeader) -> Rib:
    if header.is_loc_rib:
        return "local"
    if header.is_out:
        return "out-post-policy" if header.is_post_policy else "out-pre-policy"
    return "post-policy" if header.is_post_policy else "pre-policy"


def _up(peer_message: _PeerMessage) -> Message:
    """Peer Up (RFC 7854 4.10): the session's ports distinguish it from others of the same peer."""
    up = messages.peer_up(peer_message.body)
    sent, received = _open(up.sent), _open(up.received)
    more: JsonObject = {"ports": [up.local_port, up.port]}
    if up.tlvs:
        more["information"] = storable(words.information(up.tlvs))
    local = messages.spell(up.local, ipv6=peer_message.header.is_ipv6)
    asn = int(sent.get("asn", 0))
    return message.StateChange(
        **peer_message.common(**more),
        local=Peer(address=local, asn=asn),
        state="up",
        opens={"sent": sent, "received": received},
    )


def _open(data: bytes) -> JsonObject:
    try:
        decoded = decode_message(data, _MIRRORED)
    except BadMessageError:
        return {"bytes": data.hex()}
    return without_kind(decoded) if decoded["kind"] == "open" else {"bytes": data.hex()}


_MIRRORED: Final = Abilities(as4=True, families=FAMILIES)


def _monitored(peer_message: _PeerMessage) -> Message:
    """Route Monitoring (RFC 7854 4.6): one UPDATE, in the encoding that its flags indicate."""
    header, facts = peer_message.header, peer_message.record.facts
    if len(peer_message.body) < HEADER_LENGTH or peer_message.body[HEADER_LENGTH - 1] != UPDATE:
        raise BadBmpError("it does not hold an UPDATE (RFC 7854 4.6)")
    way = Ways.OUT if header.is_out else Ways.IN
    decoded = decode_message(
        peer_message.body, _abilities(not header.has_two_byte_as, peer_message.record.add_path, way)
    )
    return as_message(decoded, peer_message.common(monitored=True, **_unknown(facts)), peer_message.local)


def _unknown(facts: Facts) -> JsonObject:
    """The mark of routes that were decoded in the most common encoding, because there was no Peer Up."""
    return {} if facts & Facts.PEER_IS_UP else {"no_peer_up": True}


@lru_cache(maxsize=1024)
def _abilities(as4: bool, add_path: AddPath, way: Ways) -> Abilities:
    return Abilities(as4, FAMILIES, frozenset(family for family, ways in add_path if ways & way))


def _mirrored(peer_message: _PeerMessage) -> Message:
    """Route Mirroring (RFC 7854 4.7): a BGP message as the peer sent it, whatever it is."""
    header, facts = peer_message.header, peer_message.record.facts
    pdus: list[bytes] = []
    detail: JsonObject = {}
    for kind, value in messages.tlvs(peer_message.body):
        if kind == _PDU:
            pdus.append(value)
        elif kind == _INFORMATION and len(value) == 2:
            number = int.from_bytes(value)
            detail["information"] = {_ERRORED: "errored", _LOST: "lost"}.get(number, str(number))
        else:
            detail[f"tlv_{kind}"] = value.hex()
    if not pdus:
        return message.Detail(**peer_message.common(), kind="mirroring", detail=detail)
    if len(pdus) > 1:
        raise BadBmpError(f"it holds {len(pdus)} BGP messages, not one (RFC 7854 4.7)")
    as4 = not (header.has_two_byte_as or facts & Facts.TWO_BYTE_AS)
    decoded = decode_message(pdus[0], _abilities(as4, peer_message.record.add_path, Ways.IN))
    return as_message(decoded, peer_message.common(mirrored=True, **detail, **_unknown(facts)), peer_message.local)
