"""The meaning of BMP's numbers: information, reasons, statistics. Unknown ones keep their number and bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from collector.bgp.families import family_name
from collector.bgp.messages import HEADER_LENGTH, NOTIFICATION
from collector.bgp.notifications import notification_words, printable
from collector.sources.bmp.messages import BadBmpError, tlvs
from collector.sources.source import End, EndedBy
from schemas.documents import SessionNotification
from schemas.json_object import JsonObject
from schemas.message import Notification

_LONGEST_TEXT: Final = 4096
_MOST_DATA: Final = 512
_LARGEST: Final = 2**63 - 1
"""The largest number that MongoDB can hold."""

INFORMATION: Final = {0: "string", 1: "sys_descr", 2: "sys_name", 3: "table_name", 4: "admin_label"}
"""RFC 7854 4.4, RFC 9069 5.2.1, and IANA's registry."""
_STRING, _REASON = 0, 1  # of a Termination (RFC 7854 4.5)
_TERMINATIONS: Final = {
    0: "administratively closed",
    1: "no reason is given",
    2: "out of resources",
    3: "redundant connection",
    4: "permanently administratively closed",
}
_FSM_EVENTS: Final = (
    *("ManualStart", "ManualStop", "AutomaticStart", "ManualStart_with_PassiveTcpEstablishment"),
    *("AutomaticStart_with_PassiveTcpEstablishment", "AutomaticStart_with_DampPeerOscillations"),
    *("AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment", "AutomaticStop"),
    *("ConnectRetryTimer_Expires", "HoldTimer_Expires", "KeepaliveTimer_Expires", "DelayOpenTimer_Expires"),
    *("IdleHoldTimer_Expires", "TcpConnection_Valid", "Tcp_CR_Invalid", "Tcp_CR_Acked", "TcpConnectionConfirmed"),
    *("TcpConnectionFails", "BGPOpen", "BGPOpen with DelayOpenTimer running", "BGPHeaderErr", "BGPOpenMsgErr"),
    *("OpenCollisionDump", "NotifMsgVerErr", "NotifMsg", "KeepAliveMsg", "UpdateMsg", "UpdateMsgErr"),
)
"""RFC 4271 8.1, from 1."""

_SENT, _RECEIVED = "NOTIFICATION sent", "NOTIFICATION received"
_CLOSED: Final = "the peer closed the connection"
_NOTIFIED = re.compile(rf"({_SENT}|{_RECEIVED}) \((\d+),(\d+)\): ")

_STATISTICS: Final = (
    *("rejected_prefixes", "duplicate_prefixes", "duplicate_withdrawals", "cluster_list_loops", "as_path_loops"),
    *("originator_id_loops", "confederation_loops", "adj_rib_in_routes", "loc_rib_routes"),
    *("adj_rib_in_family_routes", "loc_rib_family_routes", "treated_as_withdraw_updates"),
    *("treated_as_withdraw_prefixes", "duplicate_updates", "adj_rib_out_pre_policy_routes"),
    *("adj_rib_out_post_policy_routes", "adj_rib_out_pre_policy_family_routes"),
    "adj_rib_out_post_policy_family_routes",
)
"""RFC 7854 4.8 and RFC 8671 6.2, from 0."""
_BY_FAMILY: Final = frozenset((9, 10, 16, 17))
_FAMILY_LENGTH: Final = 11


def information(found: Iterable[tuple[int, bytes]]) -> JsonObject:
    """What a router says about itself, or a peer's session, by name; several values of one name as lines."""
    fields: JsonObject = {}
    for kind, value in found:
        name = INFORMATION.get(kind)
        if name is None:
            fields[f"tlv_{kind}"] = value.hex()
        else:
            fields[name] = f"{fields[name]}\n{_text(value)}" if name in fields else _text(value)
    return fields


def _text(value: bytes) -> str:
    return printable(value[:_LONGEST_TEXT].decode("utf-8", "replace"))


def termination(found: Iterable[tuple[int, bytes]]) -> tuple[str, JsonObject]:
    """Why a router ends its connection, as text, and all other information in the message."""
    reasons, fields = [], {}
    for kind, value in found:
        if kind == _REASON and len(value) == 2:
            number = int.from_bytes(value)
            reasons.append(_TERMINATIONS.get(number, f"reason {number}"))
        elif kind == _STRING:
            reasons.append(_text(value))
        else:
            fields[f"tlv_{kind}"] = value.hex()
    return "; ".join(reasons) or "no reason is given", fields


def statistics(found: Iterable[tuple[int, bytes]]) -> JsonObject:
    """A Statistics Report (RFC 7854 4.8): counts by name, or by name and family."""
    fields: JsonObject = {}
    for kind, value in found:
        name = _STATISTICS[kind] if kind < len(_STATISTICS) else f"statistic_{kind}"
        if kind in _BY_FAMILY and len(value) == _FAMILY_LENGTH:
            family = family_name((int.from_bytes(value[:2]), value[2]))
            fields.setdefault(name, {})[family] = _number(value[3:])
        elif kind < len(_STATISTICS) and kind not in _BY_FAMILY and len(value) in (4, 8):
            fields[name] = _number(value)
        else:
            fields[f"statistic_{kind}"] = value.hex()
    return fields


def _number(value: bytes) -> int | str:
    number = int.from_bytes(value)
    return number if number <= _LARGEST else str(number)


def peer_down(body: bytes) -> str:
    """Why a session ended (RFC 7854 4.9, RFC 9069 5.3), in words that `explain` parses.

    Raises:
        BadBmpError: it has no reason.
    """
    if not body:
        raise BadBmpError("there is no reason in it (RFC 7854 4.9)")
    reason, data = body[0], body[1:]
    if reason in (1, 3):
        notification = data[HEADER_LENGTH:]
        if len(notification) < 2 or data[18] != NOTIFICATION:
            raise BadBmpError("there is no NOTIFICATION in it (RFC 7854 4.9)")
        (code, subcode), words = notification[:2], notification_words(notification)
        return f"{_SENT if reason == 1 else _RECEIVED} ({code},{subcode}): {words}"
    if reason == 2:
        event = int.from_bytes(data[:2])
        name = _FSM_EVENTS[event - 1] if 0 < event <= len(_FSM_EVENTS) else f"{event}" if event else ""
        return f"the router closed it, FSM event {name}" if name else "the router closed it"
    if reason == 4:
        return _CLOSED
    if reason == 5:
        return "the router tells of it no more, by its configuration"
    if reason == 6:
        return f"the router closed its table{_said_besides(data)}"
    return f"reason {reason}{f', {data.hex()}' if data else ''}"


def _said_besides(data: bytes) -> str:
    """The TLVs behind a reason (RFC 9069 5.3), or their bytes if they cannot be parsed."""
    try:
        return "".join(f", {name} {value}" for name, value in information(tlvs(data)).items())
    except BadBmpError:
        return f", {data.hex()}"


def notification_of(message: Notification) -> SessionNotification:
    """What the peer said with a NOTIFICATION that is mirrored."""
    data = message.data[: 2 * _MOST_DATA]
    return SessionNotification(direction="received", code=message.code, subcode=message.subcode, data=data)


def explain(reason: str | None, notification: SessionNotification | None) -> End:
    """The reason from `peer_down`, and who ended the session.

    Args:
        reason: the text of `peer_down`; None if there is no Peer Down yet, and the NOTIFICATION is the end.
        notification: the NOTIFICATION, if it was mirrored as well.
    """
    if reason is None and notification:
        body = bytes((notification.code, notification.subcode)) + bytes.fromhex(notification.data)
        return End("peer", f"{_RECEIVED}: {notification_words(body)}", notification)
    if reason is None:
        return End("router", "it is not said why")
    found = _NOTIFIED.match(reason)
    if found is None:
        return End("peer" if reason == _CLOSED else "router", reason)
    by: EndedBy = "router" if found[1] == _SENT else "peer"
    code, subcode = int(found[2]), int(found[3])
    if notification is None or (notification.code, notification.subcode) != (code, subcode):
        direction = "sent" if by == "router" else "received"
        notification = SessionNotification(direction=direction, code=code, subcode=subcode)
    return End(by, f"{found[1]}: {reason[found.end() :]}", notification)
