"""ExaBGP as a source: lines of JSON from its receiver."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from collector.instances import UNNAMED, Instance
from collector.settings.model import Settings
from collector.sources.exabgp import route_refresh, session_ends
from collector.sources.exabgp.counting import SILENCE, Counting
from collector.sources.exabgp.decode import counted, decode
from collector.sources.exabgp.decoder import ExabgpDecoder
from collector.sources.exabgp.files import requests_pipe, strangers_file
from collector.sources.exabgp.strangers import read_strangers
from collector.sources.source import Ask, Continuity, Decoder, End, Rejection, RoutersHere, SessionFacts
from schemas.documents import SessionNotification
from schemas.message import Counted, Message, Notification, PeerMessage, Sent
from schemas.notes import SourceNote


class ExabgpSource:
    """See `collector.sources.source.Source`."""

    name = UNNAMED
    silence = SILENCE
    binary = False
    in_order = True
    has_routers = False
    reports_ends = False

    def configured(self, settings: Settings) -> int:
        """Its processes, each with some of the peers."""
        return settings.exabgp.processes

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one line from its JSON."""
        return decode(raw)

    def decoder(self, ranges: Iterable[str], note: SourceNote) -> Decoder:
        """A decoder that uses the messages' bytes if lines have them."""
        return ExabgpDecoder(ranges, note)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """The peer and count of a rejected line."""
        return counted(raw, size)

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """Begin to follow ExaBGP's counters."""
        return Counting(ranges, note)

    def session_facts(self, message: PeerMessage) -> SessionFacts:
        """The ExaBGP that had the session."""
        return {"exabgp_pid": message.source.pid}

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message."""
        return session_ends.notification_of(message)

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        """Why a session ended, from ExaBGP's text in its `down`."""
        return session_ends.explain(reason, notification)

    def asker(self, instance: Instance) -> Ask | None:
        """A function that passes requests to the receiver, which sends them to ExaBGP."""
        return partial(route_refresh.ask, requests_pipe(instance))

    def routers(self, instance: Instance) -> RoutersHere:
        """The routers that ExaBGP refuses."""
        return RoutersHere(read_strangers(strangers_file(instance)))


EXABGP = ExabgpSource()
