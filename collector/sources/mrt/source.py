"""MRT files as a source: binary records, of sessions of another collector."""

# ruff: noqa: ARG002  # much that a source may be asked has the same answer for all files

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from collector.settings.model import Settings
from collector.sources.mrt.decode import counted, decode
from collector.sources.second_hand import SecondHandSource
from collector.sources.source import NONE, Continuity, Effect, Rejection
from schemas.message import Counted, Event, Message
from schemas.notes import SourceNote


class NothingCounted:
    """The records of a file are complete: nothing refers to others. See `Continuity`."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """A file may have records that are not wanted, and the next file has its own numbers."""
        return False

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Nothing ends sessions."""
        return NONE

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Records have no count."""
        return NONE

    def note(self) -> SourceNote:
        """There is nothing to remember."""
        return {}


class MrtSource(SecondHandSource):
    """See `collector.sources.source.Source`."""

    name = "mrt"
    silence = "the files end here"
    binary = True
    in_order = True
    has_routers = False
    reports_ends = False

    def configured(self, settings: Settings) -> int:
        """None: files are imported, and nothing runs."""
        return 0

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one record."""
        return decode(raw)

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """The peer of a rejected record."""
        return counted(raw)

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """Nothing is counted."""
        return NothingCounted()

    def unexplained(self, reason: str | None) -> str:
        """The states between which the session changed."""
        return f"the session went from {reason}" if reason else "it is not said why"


MRT = MrtSource()
