"""Captures as a source: MRT records made from their messages."""

# ruff: noqa: ARG002  # of what a source may be asked, a capture does not need all

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from collector.sources.mrt.decode import counted, decode
from collector.sources.mrt.source import MrtSource, NothingCounted
from collector.sources.pcap.records import read_lost
from collector.sources.source import NONE, Continuity, Effect, Rejection
from schemas.message import Counted, Message, Open, OtherSource, StateChange
from schemas.notes import SourceNote
from schemas.peer import Peer
from schemas.scalars import from_unix

_SOURCE = OtherSource(name="pcap")


class _Connections(NothingCounted):
    """What an end still sends when its session has ended was in flight, and belongs to no session."""

    def __init__(self, note: SourceNote) -> None:
        self._ended = set(note.get("ended", ()))
        """The peers, by name, that have not begun another session since."""

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Follow a peer's connection; after a loss, the beginning of another may be missing."""
        name, message = counted.peer.name, counted.message
        if isinstance(message, StateChange) and message.state == "down":
            self._ended.add(name)
        elif message is None or isinstance(message, Open | StateChange):
            self._ended.discard(name)
        elif name in self._ended:
            return Effect(is_late=True)
        return NONE

    def note(self) -> SourceNote:
        """The peers whose session has ended."""
        return {"ended": sorted(self._ended)} if self._ended else {}


class PcapSource(MrtSource):
    """See `collector.sources.source.Source`. A message's peer is its sender; its `router` is the receiver."""

    name = "pcap"
    has_routers = True
    reports_ends = True
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

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """A `Continuity` that knows whose connection has ended."""
        return _Connections(note)

    def unexplained(self, reason: str | None) -> str:
        """There was no NOTIFICATION of either end."""
        return "its TCP connection ended"


PCAP = PcapSource()
