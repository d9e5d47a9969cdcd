"""Captures as a source: MRT records made from their messages."""

# ruff: noqa: ARG002  # of what a source may be asked, a capture does not need all

from __future__ import annotations

from collector.bgp.messages import NOTIFICATION
from collector.bgp.notifications import notification_words
from collector.sources.mrt.decode import counted, decode
from collector.sources.mrt.source import MrtSource
from collector.sources.pcap.records import read_lost
from collector.sources.second_hand import notification_in
from collector.sources.source import End, Rejection
from schemas.documents import SessionNotification
from schemas.message import Counted, Message, Notification, OtherSource, Sent
from schemas.peer import Peer
from schemas.scalars import from_unix

_SOURCE = OtherSource(name="pcap")


class PcapSource(MrtSource):
    """See `collector.sources.source.Source`. A message's peer is its sender; its `router` is the receiver."""

    name = "pcap"
    has_routers = True
    silence = "the capture ends here"

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one record."""
        lost = read_lost(raw)
        return Rejection(lost.reason) if lost else decode(raw, _SOURCE, with_router=True)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """The peer of a rejected record."""
        lost = read_lost(raw)
        if lost is None:
            return counted(raw, with_router=True)
        address, asn = lost.sender
        return Counted(Peer(address=address, asn=asn, router=lost.receiver), None, None, None, from_unix(lost.time))

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message."""
        if isinstance(message, Sent) and message.category == str(NOTIFICATION):
            body = bytes.fromhex(message.detail["bytes"])[19:]
            return notification_in("sent", body) if len(body) > 1 else None
        return super().notification_of(message)

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        """Why a session ended: the NOTIFICATION of either end as text, or the end of its TCP connection."""
        if notification is None:
            return End("peer", "its TCP connection ended")
        if notification.direction == "sent":
            words = notification_words(
                bytes((notification.code, notification.subcode)) + bytes.fromhex(notification.data)
            )
            return End("router", f"NOTIFICATION sent: {words}", notification)
        return super().explain(reason, notification)


PCAP = PcapSource()
