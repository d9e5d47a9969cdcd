"""MRT files as a source: records of bytes, of sessions that another collector had."""

# ruff: noqa: ARG002  # much that a source may be asked has the same answer for all files

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from collector.bgp.notifications import notification_words
from collector.instances import Instance
from collector.settings import Settings
from collector.sources.mrt.decode import counted, decode
from collector.sources.source import (
    NONE,
    Ask,
    Continuity,
    Decoder,
    Effect,
    End,
    Rejection,
    RoutersHere,
    StatelessDecoder,
)
from schemas.documents import SessionNotification
from schemas.message import Counted, Event, Message, Notification, PeerMessage, Sent

_MOST_DATA = 512


class _NothingCounted:
    """The records of a file are all that there is: nothing tells of others. See `Continuity`."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """A file has other records beside those that are wanted, and the next file has numbers of its own."""
        return False

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Nothing ends them."""
        return NONE

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """They have no count."""
        return NONE

    def note(self) -> Mapping[str, Any]:
        """There is nothing to remember."""
        return {}


class MrtSource:
    """See `collector.sources.source.Source`."""

    name = "mrt"
    silence = "the files end here"
    binary = True
    in_order = True
    has_routers = False

    def configured(self, settings: Settings) -> int:
        """None: files are imported, and nothing runs."""
        return 0

    def decode(self, raw: bytes) -> Message | Rejection:
        """Read one record."""
        return decode(raw)

    def decoder(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Decoder:
        """A record says itself how it is to be read."""
        return StatelessDecoder(self.decode)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """Whose a rejected record is."""
        return counted(raw)

    def continuity(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Continuity:
        """Nothing is counted."""
        return _NothingCounted()

    def session_facts(self, message: PeerMessage) -> Mapping[str, Any]:
        """Nothing beside what all sessions have."""
        return {}

    def heard(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message."""
        if not isinstance(message, Notification):
            return None
        return said_in("received", bytes((message.code, message.subcode)) + bytes.fromhex(message.data))

    def explain(self, reason: str | None, said: SessionNotification | None = None) -> End:
        """Why a session ended: its NOTIFICATION in words, or the states between which it went."""
        if said is None:
            return End("peer", f"the session went from {reason}" if reason else "it is not said why")
        words = notification_words(bytes((said.code, said.subcode)) + bytes.fromhex(said.data))
        return End("peer", f"NOTIFICATION received: {words}", said)

    def asker(self, instance: Instance) -> Ask | None:
        """Nobody: the sessions are another collector's."""
        return None

    def routers(self, instance: Instance) -> RoutersHere:
        """None: nobody connects to us."""
        return RoutersHere()


def said_in(direction: Literal["sent", "received"], body: bytes) -> SessionNotification:
    """A NOTIFICATION, of the message without its header."""
    return SessionNotification(direction=direction, code=body[0], subcode=body[1], data=body[2 : 2 + _MOST_DATA].hex())


MRT = MrtSource()
