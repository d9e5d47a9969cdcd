"""BMP as a source: binary records, in which routers report their peers."""

# ruff: noqa: ARG002  # much that a source may be asked has the same answer for all routers

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from collector.children import lives
from collector.instances import Instance
from collector.settings.model import Settings
from collector.sources.bmp import words
from collector.sources.bmp.continuity import SILENCE, RouterContinuity
from collector.sources.bmp.decode import NAME, counted, decode
from collector.sources.bmp.state import read_state
from collector.sources.source import (
    Ask,
    Continuity,
    Decoder,
    End,
    Rejection,
    RoutersHere,
    SessionFacts,
    StatelessDecoder,
)
from schemas.documents import SessionNotification
from schemas.message import Counted, Message, Notification, PeerMessage, Sent, StateChange
from schemas.notes import SourceNote

_OF_AN_OPEN = ("router_id", "hold_time", "capabilities")


class BmpSource:
    """See `collector.sources.source.Source`."""

    name = NAME
    silence = SILENCE
    binary = True
    in_order = True
    has_routers = True
    reports_ends = False

    def configured(self, settings: Settings) -> int:
        """One receiver serves all routers."""
        return 1 if settings.bmp else 0

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one record."""
        return decode(raw)

    def decoder(self, ranges: Iterable[str], note: SourceNote) -> Decoder:
        """A decoder without state: the receiver has stored with each record how it is encoded."""
        return StatelessDecoder(decode)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """The peer of a rejected record."""
        return counted(raw)

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """A `Continuity` that follows the routers' connections."""
        return RouterContinuity(note)

    def session_facts(self, message: PeerMessage) -> SessionFacts:
        """The contents of the peer's OPEN in a Peer Up."""
        if not isinstance(message, StateChange) or message.opens is None:
            return {}
        received = message.opens["received"]
        return cast("SessionFacts", {name: value for name, value in received.items() if name in _OF_AN_OPEN})

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message, which the router mirrors."""
        return words.notification_of(message) if isinstance(message, Notification) else None

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        """Why a session ended, according to the router's Peer Down."""
        return words.explain(reason, notification)

    def asker(self, instance: Instance) -> Ask | None:
        """None: BMP has no messages to the router."""
        return None

    def routers(self, instance: Instance) -> RoutersHere:
        """The connected routers, while the receiver is running."""
        state = read_state(instance)
        return RoutersHere(connected=len(state.connected) if state and lives(state.pid) else None)


BMP = BmpSource()
