"""ExaBGP as a source: lines of JSON from its receiver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from collector.instances import UNNAMED, Instance
from collector.settings import Settings
from collector.sources.exabgp import route_refresh, session_ends
from collector.sources.exabgp.counting import SILENCE, Counting
from collector.sources.exabgp.decode import counted, decode
from collector.sources.exabgp.decoder import ExabgpDecoder
from collector.sources.exabgp.files import requests_pipe, strangers_file
from collector.sources.exabgp.strangers import read_strangers
from collector.sources.source import Ask, Continuity, Decoder, End, Rejection, RoutersHere
from schemas.documents import SessionNotification
from schemas.message import Counted, Message, Notification, PeerMessage, Sent


class ExabgpSource:
    """See `collector.sources.source.Source`."""

    name = UNNAMED
    silence = SILENCE
    binary = False
    in_order = True
    has_routers = False

    def configured(self, settings: Settings) -> int:
        """Its processes, each with some of the peers."""
        return settings.exabgp.processes

    def decode(self, raw: bytes) -> Message | Rejection:
        """Read one line, from its JSON."""
        return decode(raw)

    def decoder(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Decoder:
        """Begin to read lines, from their messages' bytes where they have them."""
        return ExabgpDecoder(ranges, note)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """What a rejected line says of itself."""
        return counted(raw, size)

    def continuity(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Continuity:
        """Begin to follow ExaBGP's counters."""
        return Counting(ranges, note)

    def session_facts(self, message: PeerMessage) -> Mapping[str, Any]:
        """Which ExaBGP held the session."""
        return {"exabgp_pid": message.source.pid}

    def heard(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message."""
        return session_ends.heard(message)

    def explain(self, reason: str | None, said: SessionNotification | None = None) -> End:
        """Why a session ended, of ExaBGP's word in its `down`."""
        return session_ends.explain(reason, said)

    def asker(self, instance: Instance) -> Ask | None:
        """Whoever passes it on to the receiver, which has ExaBGP ask."""
        return partial(route_refresh.ask, requests_pipe(instance))

    def routers(self, instance: Instance) -> RoutersHere:
        """Those that ExaBGP refuses."""
        return RoutersHere(read_strangers(strangers_file(instance)))


EXABGP = ExabgpSource()
