"""Which records of a file to import."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from collector.bgp import mrt_messages
from collector.bgp.mrt_header import UnreadableError
from schemas.meta import SelectionDocument


@dataclass(frozen=True)
class Selection:
    """Which records of a file to import."""

    start: datetime | None = None
    end: datetime | None = None
    """The end of the time range, exclusive."""
    peers: frozenset[str] = frozenset()
    """Addresses; empty: all peers."""

    def as_document(self) -> SelectionDocument:
        """The selection as recorded with the file."""
        return {"start": self.start, "end": self.end, "peers": sorted(self.peers)}

    def takes(self, raw: bytes) -> bool:
        """Whether a record is wanted; for one that cannot be parsed, only its time decides."""
        seconds = int.from_bytes(raw[:4])
        if self.start and seconds < int(self.start.timestamp()):
            return False
        if self.end and seconds >= self.end.timestamp():
            return False
        if self.peers or self.start:
            try:
                record = mrt_messages.parse(raw)
            except UnreadableError:
                return True
            if self.start and record.time < self.start.timestamp():
                return False
            return not self.peers or record.peer.address in self.peers
        return True
