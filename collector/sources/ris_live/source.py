"""RIS Live as a source: lines of text; while it is disconnected there is a gap for every known peer."""

# ruff: noqa: ARG002  # of what a source may be asked, not all is known of a feed

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from collector.settings.model import Settings
from collector.sources.ris_live.decode import counted, decode
from collector.sources.ris_live.lines import NAME
from collector.sources.second_hand import SecondHandSource
from collector.sources.source import NONE, Continuity, Effect, Loss, Rejection
from schemas.message import Counted, Dropped, Event, Message, ReceiverStart
from schemas.notes import SourceNote
from schemas.peer import Peer


class _Listening:
    """Follows the peers that the feed reports; see `collector.sources.source.Continuity`."""

    def __init__(self, note: SourceNote) -> None:
        self._peers = {peer.name: peer for peer in map(Peer.model_validate, note.get("peers", ()))}
        last = note.get("last")
        self._last = datetime.fromisoformat(last) if last else None
        """When the feed last sent a message; None: not since it was connected."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """All lines have numbers: missing ones were in a lost part of the spool."""
        return True

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """A gap: what was said between the last line and a new connection, or what the disk had no room for."""
        if isinstance(message, ReceiverStart) and self._last is not None:
            since, self._last = self._last, None
            return Effect([Loss(peer, since, None, "feed") for peer in self._peers.values()])
        if isinstance(message, Dropped):
            return Effect([Loss(peer, message.since, None, "disk", message.reason) for peer in self._peers.values()])
        return NONE

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Remember the peer."""
        self._last = ts
        if counted.peer.name not in self._peers:
            self._peers[counted.peer.name] = counted.peer
        return NONE

    def note(self) -> SourceNote:
        """The known peers, and when the feed last sent a message."""
        peers = [peer.model_dump(exclude_none=True) for peer in self._peers.values()]
        return {"peers": peers, **({"last": self._last.isoformat()} if self._last else {})}


class RisLiveSource(SecondHandSource):
    """See `collector.sources.source.Source`. A peer's `router` is the RIS collector that hears it: `rrc21`."""

    name = NAME
    silence = "the feed ended"
    binary = False
    in_order = False
    has_routers = True
    reports_ends = False

    def configured(self, settings: Settings) -> int:
        """One if there is a URL."""
        return int(settings.ris_live.is_on)

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one line."""
        return decode(raw)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """The peer of a rejected line."""
        return counted(raw)

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """A `Continuity` that follows the feed."""
        return _Listening(note)

    def unexplained(self, reason: str | None) -> str:
        """RIS Live gives no reasons other than NOTIFICATIONs."""
        return "RIS Live does not say why"


RIS_LIVE = RisLiveSource()
