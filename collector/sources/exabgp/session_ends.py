"""The meaning of ExaBGP's reasons for the end of a session: who ended it, and why, in the RFCs' terms.

The texts are those of 5.0's and 4.2's reactor/peer.py; see docs/decisions/0005-sessions.md.
"""

from __future__ import annotations

import re
from typing import Literal

from collector.bgp import messages as bgp
from collector.bgp.notifications import notification_words, printable
from collector.sources.source import End, EndedBy
from schemas.documents import SessionNotification
from schemas.message import Notification, Sent

_PEER_DECONFIGURED = (6, 3)
"""What ExaBGP sends a peer whose configuration has changed, and in no other case."""
_MAX_DATA = 512
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})*")
_NOTIFICATION = re.compile(r"notification (sent|received) \((\d{1,3}), ?(\d{1,3})\)")
_ENDS: dict[str, tuple[EndedBy, str]] = {
    "closing connection": ("peer", "the TCP connection was closed or lost"),
    "process problem": ("collector", "ExaBGP could not write to its receiver"),
    "graceful restarted negotiated": ("collector", "the peer's configuration was changed"),
    "stop, message [removed]": ("collector", "the peer was removed from the configuration"),
    "stop, message [shutting down]": ("collector", "ExaBGP was shut down"),
    "closing outgoing connection": ("exabgp", "the peer's own connection was taken (RFC 4271 6.8)"),
    "connection received before": ("exabgp", "the peer's own connection was taken (RFC 4271 6.8)"),
}
"""How the reasons of a `down` without a NOTIFICATION begin."""
_NO_REASON = "ExaBGP failed at a message of this session (its log has the exception)"


def explain(reason: str | None, notification: SessionNotification | None = None) -> End:
    """Why a session ended.

    Args:
        reason: ExaBGP's text in a `down`; None if there is none yet, and the NOTIFICATION is the end.
        notification: the NOTIFICATION that was sent or received in this session, if any.
    """
    if reason is None and notification is not None:
        return _notified(notification)
    if found := _NOTIFICATION.search(reason or ""):
        direction, code, subcode = found[1], int(found[2]) & 0xFF, int(found[3]) & 0xFF
        if notification is None or (notification.direction, notification.code, notification.subcode) != (
            direction,
            code,
            subcode,
        ):
            notification = _notification("sent" if direction == "sent" else "received", code, subcode, "")
        return _notified(notification)
    reason = (reason or "").removeprefix("peer reset, message (")  # 4.2 begins it in this way
    if not reason:
        return End("exabgp", _NO_REASON)
    for beginning, (by, words) in _ENDS.items():
        if reason.startswith(beginning):
            return End(by, words)
    return End("collector" if reason.startswith("stop, message") else "exabgp", printable(reason))


def notification_of(message: Notification | Sent) -> SessionNotification | None:
    """The NOTIFICATION in this message, whoever sent it; None if there is none."""
    if isinstance(message, Notification):
        return _notification("received", message.code, message.subcode, _received_data(message))
    detail = message.detail.get("notification")
    if message.category != "notification" or not isinstance(detail, dict) or not {"code", "subcode"} <= detail.keys():
        return None
    return _notification("sent", detail["code"], detail["subcode"], detail.get("data", ""))


def _notification(direction: Literal["sent", "received"], code: int, subcode: int, data: str) -> SessionNotification:
    digits = data.removeprefix("0x").lower()[: 2 * _MAX_DATA]
    kept = digits if _HEXADECIMAL.fullmatch(digits) else ""  # lines come from outside
    return SessionNotification(direction=direction, code=code, subcode=subcode, data=kept)


def _notified(notification: SessionNotification) -> End:
    words = f"NOTIFICATION {notification.direction}: {_words(notification)}"
    return End(_by(notification), words, notification)


def _by(notification: SessionNotification) -> EndedBy:
    if notification.direction == "received":
        return "peer"
    return "collector" if (notification.code, notification.subcode) == _PEER_DECONFIGURED else "exabgp"


def _words(notification: SessionNotification) -> str:
    data = bytes.fromhex(notification.data)
    words = notification_words(bytes((notification.code, notification.subcode)) + data)
    if notification.direction == "received" or not data.isascii():
        return words
    # ExaBGP's data say what it rejected; if it has nothing to say, they repeat the subcode's name.
    own = printable(data.decode())
    return words if not own or own.lower() in words.lower() else f"{words}: {own}"


_SHUTDOWN_TEXT = re.compile(r'Shutdown Communication: "(.*)"', re.DOTALL)
_SHUTDOWN_HEX = re.compile(r"invalid Shutdown Communication \([^)]*\) length : (\d+) \[(?:0x)?([0-9A-Fa-f]*)\]")


def _received_data(message: Notification) -> str:
    """The data as the peer sent them, in hexadecimal: ExaBGP replaces an operator's text by words of its own."""
    if message.wire is not None:
        return message.wire[bgp.HEADER_LENGTH + 2 :].hex()
    text = message.text or ""
    if found := _SHUTDOWN_TEXT.match(text):
        words = found[1].encode()[:255]
        return bytes((len(words), *words)).hex()
    if found := _SHUTDOWN_HEX.match(text):  # longer than 128 bytes, which RFC 9003 allows
        return f"{min(int(found[1]), 255):02x}{found[2]}"
    return "" if text == "empty Shutdown Communication." else message.data
