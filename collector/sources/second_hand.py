"""What sources of another collector's sessions share, such as its files, or its feed."""

# ruff: noqa: ARG002  # much that a source may be asked has the same answer for all of these

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from collector.bgp.messages import HEADER_LENGTH, NOTIFICATION
from collector.bgp.notifications import notification_words
from collector.instances import Instance
from collector.sources.source import Ask, Decoder, End, EndedBy, Rejection, RoutersHere, SessionFacts, StatelessDecoder
from schemas.documents import SessionNotification
from schemas.message import Message, Notification, PeerMessage, Sent
from schemas.notes import SourceNote

_MOST_DATA = 512


class SecondHandSource:
    """A source whose sessions are not ours: nobody connects to us, and nothing can be requested."""

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one record."""
        raise NotImplementedError

    def decoder(self, ranges: Iterable[str], note: SourceNote) -> Decoder:
        """A decoder without state: each record says how it is encoded."""
        return StatelessDecoder(self.decode)

    def session_facts(self, message: PeerMessage) -> SessionFacts:
        """No additional fields."""
        return {}

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message."""
        if isinstance(message, Sent):
            if message.category != str(NOTIFICATION):
                return None
            return notification_in("sent", bytes.fromhex(message.detail["bytes"])[HEADER_LENGTH:])
        return notification_in("received", bytes((message.code, message.subcode)) + _bytes_of(message.data))

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        """Why a session ended: its NOTIFICATION as text, or `unexplained`."""
        if notification is None:
            return End("peer", self.unexplained(reason))
        words = notification_words(bytes((notification.code, notification.subcode)) + bytes.fromhex(notification.data))
        by: EndedBy = "peer" if notification.direction == "received" else "router"
        return End(by, f"NOTIFICATION {notification.direction}: {words}", notification)

    def unexplained(self, reason: str | None) -> str:
        """The reason for the end of a session without a NOTIFICATION."""
        raise NotImplementedError

    def asker(self, instance: Instance) -> Ask | None:
        """None: the sessions are another collector's."""
        return None

    def routers(self, instance: Instance) -> RoutersHere:
        """No routers: nobody connects to us."""
        return RoutersHere()


def notification_in(direction: Literal["sent", "received"], body: bytes) -> SessionNotification | None:
    """The NOTIFICATION in the body of a message, without its header; None if it is too short for one."""
    if len(body) < 2:  # code and subcode
        return None
    return SessionNotification(direction=direction, code=body[0], subcode=body[1], data=body[2 : 2 + _MOST_DATA].hex())


def _bytes_of(data: str) -> bytes:
    try:
        return bytes.fromhex(data)
    except ValueError:  # from a feed, which may send anything
        return b""
