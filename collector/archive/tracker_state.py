"""The state of the session tracker, which is stored as JSON and survives a restart: each peer, and the clock."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from collector.archive.gaps import GapState
from schemas.documents import Session, SessionNotification
from schemas.message import ClockSet

log = logging.getLogger(__name__)

EPOCH = datetime.fromtimestamp(0, UTC)
"""Before all lines."""


@dataclass(slots=True)
class PeerState:
    """What is known of one peer."""

    last_seen: datetime
    opened: dict[str, Any] | None = None
    """The last OPEN: it comes before its session is up."""
    offered: list[dict[str, Any]] | None = None
    """The capabilities of the last OPEN, also when its session has ended: that of the next one may be lost."""
    notification: SessionNotification | None = None
    """The last one, sent or received: it comes before the session's `down`."""
    session: Session | None = None
    ended: Session | None = None
    """The last one, from its end until there is a word of another: one that speaks on has not ended."""
    gaps: int = 0
    """How many there were at that `down`: behind a later one the word may be lost."""


@dataclass(slots=True)
class ClockStep:
    """The clock was set."""

    line: int
    """The first line behind that."""
    before: datetime
    """What time it would be otherwise; by ExaBGP's lines alone, the own time of the one before."""
    after: datetime
    """That line's own time."""


@dataclass(slots=True)
class TrackerState:
    """All that the tracker has to remember over a restart."""

    last_ts: datetime = EPOCH
    """The stored time of the last line: it never runs backwards."""
    clock: datetime = EPOCH
    """The last line's own time, by ExaBGP's clock."""
    steps: int = 0
    """How often that clock was set."""
    stepped: ClockStep | None = None
    """The last time it was."""
    told_back: bool = False
    """Whether our receiver saw it set back, and ExaBGP's lines do not tell so yet."""
    neighbours: dict[str, PeerState] = field(default_factory=dict)
    gaps: GapState = field(default_factory=GapState)

    def clock_went_back(self, line: int, own: datetime) -> None:
        """Notice a clock that was set back: one ExaBGP's lines are in the order of its time but for that."""
        if not self.told_back:
            self._set_back(ClockStep(line, self.clock, own))
        self.told_back = False

    def clock_set(self, line: int, message: ClockSet) -> None:
        """Take what our receiver saw of the clock into account; what it finds in the pipe may still be older."""
        step = ClockStep(line, message.ts - timedelta(seconds=message.step), message.ts)
        self.told_back = message.step < 0
        if message.step < 0:
            self._set_back(step)
            return
        self.steps, self.stepped = self.steps + 1, step
        log.warning(
            "the clock was set forward by %s, to %s: what is stored has the time that it told, before and after",
            step.after - step.before,
            step.after.isoformat(timespec="milliseconds"),
        )

    def _set_back(self, step: ClockStep) -> None:
        self.steps, self.stepped = self.steps + 1, step
        log.warning(
            "the clock was set back by %s, from %s: until it is there again, what is stored has that time,"
            " and its own beside it as `clock`",
            step.before - step.after,
            step.before.isoformat(timespec="milliseconds"),
        )


STATE = TypeAdapter(TrackerState)
"""Reads it, and makes it what JSON can hold."""
