"""The state of the session tracker, peers and clock, which is stored as JSON and survives restarts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from collector.archive.gaps import GapState
from collector.sources.source import End
from schemas.documents import Session, SessionNotification
from schemas.message import ClockSet
from schemas.message_parts import Capability
from schemas.peer import Peer

log = logging.getLogger(__name__)

EPOCH = datetime.fromtimestamp(0, UTC)
"""Earlier than all lines."""


@dataclass(slots=True)
class PeerState:
    """The state of one peer."""

    last_seen: datetime
    opened: dict[str, Any] | None = None
    """The last OPEN, which comes before its session is up."""
    offered: list[Capability] | None = None
    """The capabilities of the last OPEN, kept after its session has ended because the next OPEN may be lost."""
    notification: SessionNotification | None = None
    """The last NOTIFICATION, sent or received, which comes before the session's `down`."""
    session: Session | None = None
    ended: Session | None = None
    """The last session that ended, until another one begins: if the peer goes on sending messages, it had not ended."""
    closed: Session | None = None
    """The last session that a NOTIFICATION closed, until another one begins: a `down` that follows belongs to it."""
    gaps: int = 0
    """The number of gaps at that `down`, or at the last OPEN: with a later one something may be lost since then."""

    def end(self, line: int, ts: datetime, end: End) -> Session | None:
        """End the session that is up; returns it.

        Args:
            line: the first line behind it.
            ts: when it ended.
            end: why.
        """
        session = self.session
        if session is not None:
            session.until, session.until_line = ts, line
            session.ended_by, session.reason, session.notification = end
            self.session = self.opened = self.notification = None
        return session

    def go_on(self, session: Session) -> None:
        """Continue a session that had not ended."""
        session.until = session.until_line = session.ended_by = session.reason = session.notification = None
        self.session = session


@dataclass(slots=True)
class ClockStep:
    """A change of the clock."""

    line: int
    """The first line after the change."""
    before: datetime
    """What the time would be without the change; if only ExaBGP's lines reveal it, the previous line's own time."""
    after: datetime
    """That line's own time."""


@dataclass(slots=True)
class TrackerState:
    """Everything that the tracker remembers over a restart."""

    last_ts: datetime = EPOCH
    """The stored time of the last line: it never runs backwards."""
    clock: datetime = EPOCH
    """The last line's own time, by ExaBGP's clock."""
    steps: int = 0
    """How often that clock was changed."""
    stepped: ClockStep | None = None
    """The last change."""
    told_back: bool = False
    """Whether our receiver saw it set back and ExaBGP's lines do not show it yet."""
    neighbours: dict[str, PeerState] = field(default_factory=dict)
    gaps: GapState = field(default_factory=GapState)

    def named(self, names: Collection[str] | None) -> Iterator[PeerState]:
        """The known peers with these names; all known peers if `names` is None."""
        every = self.neighbours
        return (every[name] for name in (every if names is None else names) if name in every)

    def sessions(self) -> Iterator[Session]:
        """The sessions that further lines may change."""
        for neighbour in self.neighbours.values():
            yield from (one for one in (neighbour.session, neighbour.ended, neighbour.closed) if one is not None)

    def known(self, peer: Peer) -> Peer:
        """A peer with its AS number, which a line may lack, if it has had a session."""
        neighbour = self.neighbours.get(peer.name)
        session = neighbour and (neighbour.session or neighbour.ended)
        return session.peer if session else peer

    def clock_went_back(self, line: int, own: datetime) -> None:
        """Notice that the clock was set back: one ExaBGP's lines are otherwise in order of time."""
        if not self.told_back:
            self._set_back(ClockStep(line, self.clock, own))
        self.told_back = False

    def clock_set(self, line: int, message: ClockSet) -> None:
        """Process a clock change that our receiver saw; lines still in the pipe may be older."""
        step = ClockStep(line, message.ts - timedelta(seconds=message.step), message.ts)
        self.told_back = message.step < 0
        if message.step < 0:
            self._set_back(step)
            return
        self.steps, self.stepped = self.steps + 1, step
        log.warning(
            "the clock was set forward by %s, to %s: documents keep the times that the clock showed, before and after",
            step.after - step.before,
            step.after.isoformat(timespec="milliseconds"),
        )

    def _set_back(self, step: ClockStep) -> None:
        self.steps, self.stepped = self.steps + 1, step
        log.warning(
            "the clock was set back by %s, from %s: until it is reached again, documents get that time,"
            " and their own as `clock`",
            step.before - step.after,
            step.before.isoformat(timespec="milliseconds"),
        )


STATE = TypeAdapter(TrackerState)
"""Reads it, and makes it what JSON can hold."""
