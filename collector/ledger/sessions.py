"""Which session each line belongs to: a small machine over the lines in their order.

Its state is part of each acknowledgement of the spool, so that reading lines again after a crash gives each of
them the same session, and each session's document the same content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bson import ObjectId
from pydantic import TypeAdapter

from collector.ledger.gaps import GapFinder, GapState
from collector.wire.ends import End, explain, heard
from schemas.documents import Gap, Place, Session, SessionNotification, collector_number, lane_name, make_key
from schemas.message import (
    Answer,
    Counted,
    Dropped,
    EndOfRib,
    HelperEnd,
    HelperStart,
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    Sent,
    Shutdown,
    StateChange,
    Update,
    Withdrawn,
)

EPOCH = datetime.fromtimestamp(0, UTC)
_LOST_WORD = "ExaBGP ended without a word"


@dataclass(slots=True)
class _Neighbour:
    """What is known of one peer address."""

    last_seen: datetime
    opened: dict[str, Any] | None = None
    """The last OPEN: it comes before its session is up."""
    notification: SessionNotification | None = None
    """The last one, sent or received: it comes before the session's `down`."""
    session: Session | None = None
    ended: Session | None = None
    """The last one, from its `down` until there is a word of another: one that speaks on has not ended."""
    gaps: int = 0
    """How many there were at that `down`: behind a later one the word may be lost."""


@dataclass(slots=True)
class _State:
    """All that the tracker has to remember over a restart."""

    last_ts: datetime = EPOCH
    neighbours: dict[str, _Neighbour] = field(default_factory=dict)
    gaps: GapState = field(default_factory=GapState)


_STATE = TypeAdapter(_State)


class SessionTracker:
    """Follows the lines of one spool, and keeps the session of every peer.

    Args:
        collector: the collector's name.
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: what `note` gave at the position that reading starts from; empty at the very beginning.
        lane: which of the collector's spools this is.
    """

    def __init__(
        self, collector: str, ranges: Iterable[str] = (), note: Mapping[str, Any] | None = None, *, lane: int = 0
    ) -> None:
        self._collector = collector
        self._number = collector_number(lane_name(collector, lane))
        self._state = _STATE.validate_python(note) if note else _State()
        self._gaps = GapFinder(collector, self._number, ranges, self._state.gaps)
        self._dirty: dict[ObjectId, Session] = {}

    def note(self) -> dict[str, Any]:
        """The state, as JSON can hold it."""
        noted: dict[str, Any] = _STATE.dump_python(self._state, mode="json", exclude_none=True)
        return noted

    def take_changed(self) -> Sequence[Session]:
        """The sessions that changed since the last call, as they stand now."""
        changed = [session.model_copy(deep=False) for session in self._dirty.values()]
        self._dirty.clear()
        return changed

    def take_gaps(self) -> Sequence[Gap]:
        """The gaps that were found since the last call."""
        return self._gaps.take()

    def capabilities(self, address: str) -> list[dict[str, Any]] | None:
        """What the peer offered in its OPEN, if its session is up."""
        neighbour = self._state.neighbours.get(address)
        return neighbour.session.capabilities if neighbour and neighbour.session else None

    def reject(self, line: int, counted: Counted | None = None) -> Place:
        """The place of a line that says nothing that we understand, but perhaps for its count."""
        ts = self._state.last_ts
        self._gaps.line(line, ts, ts)
        if counted and self._gaps.count(line, ts, counted):
            self._end_all(ts, _LOST_WORD)
        return self._place(ts, line, None)

    def follow(self, line: int, message: Message) -> Place:
        """Take the next line into account, and tell where its message belongs."""
        if isinstance(message, Answer):
            return self.reject(line)
        self._state.last_ts, before = message.ts, self._state.last_ts
        self._gaps.line(line, before, message.ts)
        if isinstance(message, HelperStart | HelperEnd | Dropped | Shutdown):
            if self._gaps.helper(line, message):
                self._end_all(min(before, message.ts), _LOST_WORD)
            elif isinstance(message, Shutdown):
                self._end_all(message.ts, "ExaBGP was shut down")
            return self._place(message.ts, line, None)
        if self._gaps.count(line, message.ts, Counted(message.peer, message.source.pid, message.source.counter)):
            # A receiver's word that it began may be younger than the lines that it found in the pipe.
            self._end_all(min(before, message.ts), _LOST_WORD)
        neighbour = self._state.neighbours.setdefault(message.peer.address, _Neighbour(last_seen=message.ts))
        place = self._apply(line, message, neighbour)
        neighbour.last_seen = message.ts
        return place

    # --- one line -----------------------------------------------------------------------------------------------

    def _apply(self, line: int, message: Any, neighbour: _Neighbour) -> Place:
        key = make_key(message.ts, self._number, line)
        if isinstance(message, Open) or (isinstance(message, StateChange) and message.state != "down"):
            neighbour.ended = None
        elif neighbour.ended and isinstance(message, Update | EndOfRib | Refresh | Keepalive):
            self._take_up(neighbour)
        if isinstance(message, StateChange) and message.state == "up":
            if neighbour.session:
                self._end(neighbour, neighbour.last_seen, End("peer", "its end was among lines that were lost"))
            self._begin(key, neighbour, message, "up")
        elif neighbour.session is None and isinstance(message, Update | EndOfRib | Refresh):
            self._begin(key, neighbour, message, "seen")
        session = neighbour.session
        if isinstance(message, Open):
            neighbour.opened = message.model_dump(include={"router_id", "hold_time", "capabilities", "local"})
        elif session is None and neighbour.opened and isinstance(message, Keepalive):
            neighbour.opened["last_keepalive"] = message.ts  # it confirms the OPEN (RFC 4271 8.2.2), ahead of `up`
        if session is None:
            return self._place(message.ts, line, None)
        if not isinstance(message, Sent):
            _tally(session, message)
        self._dirty[session.key] = session
        if isinstance(message, Notification | Sent):
            neighbour.notification = heard(message) or neighbour.notification
        if isinstance(message, StateChange) and message.state == "down":
            neighbour.ended, neighbour.gaps = session, self._state.gaps.gaps
            self._end(neighbour, message.ts, explain(message.reason, neighbour.notification))
        return Place(key, message.ts, self._collector, session.key)

    def _place(self, ts: datetime, line: int, session: ObjectId | None) -> Place:
        return Place(make_key(ts, self._number, line), ts, self._collector, session)

    # --- sessions -----------------------------------------------------------------------------------------------

    def _begin(self, key: ObjectId, neighbour: _Neighbour, message: Any, began: Literal["up", "seen"]) -> None:
        facts = neighbour.opened or {}
        if isinstance(message, StateChange):
            facts = {**facts, "local": message.local}
        neighbour.session = Session(
            key=key,
            collector=self._collector,
            peer=message.peer,
            since=message.ts,
            began=began,
            exabgp_pid=message.source.pid,
            last_seen=message.ts,
            **facts,
        )
        self._dirty[key] = neighbour.session

    def _end(self, neighbour: _Neighbour, ts: datetime, end: End) -> None:
        session = neighbour.session
        if session is not None:
            session.until, session.ended_by, session.reason, session.notification = ts, *end
            self._dirty[session.key] = session
            neighbour.session = neighbour.opened = neighbour.notification = None

    def _take_up(self, neighbour: _Neighbour) -> None:
        """Go on with a session whose `down` was not its end, unless the word of another may be lost."""
        session, neighbour.ended = neighbour.ended, None
        if session is not None and neighbour.gaps == self._state.gaps.gaps:
            session.until = session.ended_by = session.reason = session.notification = None
            neighbour.session = session

    def _end_all(self, ts: datetime, reason: str) -> None:
        """End all that is still up, as of `ts`: nothing is known of later, but for what it said itself."""
        for neighbour in self._state.neighbours.values():
            neighbour.ended = None
            if neighbour.session:
                self._end(neighbour, max(ts, neighbour.session.last_seen), End("collector", reason))


def _tally(session: Session, message: Any) -> None:
    session.last_seen = message.ts
    if isinstance(message, Keepalive):
        session.keepalives += 1
        session.last_keepalive = message.ts
    elif isinstance(message, Update):
        session.updates += 1
        if message.announce:
            session.announced += _routes(message.announce)
        if message.withdraw:
            session.withdrawn += _routes(message.withdraw)


def _routes(groups: Sequence[Withdrawn]) -> int:
    return sum(len(group.nlri or group.objects or ()) for group in groups)
