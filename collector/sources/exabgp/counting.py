"""What ExaBGP wrote and we never got: found by its counters, and by how our receivers ended.

ExaBGP counts the lines of each of its neighbour objects from 1 on, over all of its sessions. A jump is that many
lines lost: in its pipe when a receiver died, or for want of room on the disk, of which the receiver leaves a line. When
ExaBGP and its receiver ended together, the last lines cannot be counted, and the gap says so.

A reload makes new objects, and a count that steps back is that of a new one: the neighbour's only, and no word of
another ExaBGP. A session goes on with the object that it began with (reactor/protocol.py), while states are already
told of the new one (reactor/peer.py): so two counts of a neighbour may run beside each other until its next session.
Peers of a range all go at a reload, and their old count with them (reactor/loop.py).

A new count that has passed the old one, with all in between lost, looks as if the old one went on. Our receiver tells
of reloads, and how it ended bounds what may be lost: where a line may go on with more than one count, how many are lost
is not known, and the gap says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from collector.sources.exabgp.neighbours import Neighbours
from collector.sources.source import NONE, Effect, Loss
from schemas.message import Counted, Dropped, Event, Peer, ReceiverEnd, ReceiverStart, Reload, Shutdown
from schemas.stored import GapCause

SILENCE = "ExaBGP ended without a word"
"""Why sessions ended where another ExaBGP speaks, and the one before did not say that it would end."""

_TOLD_OF_NEWEST = frozenset(
    ("state", "connected", "up", "down", "open", "negotiated", "fsm", "signal", "sent", "packet")
)
"""Kinds of lines that ExaBGP counts with the newest object of a neighbour, or that begin a session with it."""
_ENDS_OF_SESSIONS = frozenset(("connected", "down"))
_MOST_IN_PIPE = 2 * 2**20 // 200
"""Lines that are lost with a receiver at most: a full pipe and what it has just read, of ExaBGP's shortest lines."""
_MOST_SPANS = 16
"""So many are remembered one by one."""

# Plain dataclasses: their attributes change with every line, and pydantic would look at each change.


@dataclass(slots=True)
class _Counter:
    """ExaBGP's count of lines of one neighbour; peers of a range share one."""

    asn: int
    count: int
    ts: datetime
    line: int = -1
    """The number of its last line in the spool."""
    left: bool = False
    """Whether its session has been said to be down, so that the next one's messages are to be expected elsewhere."""
    reloaded: int | None = None
    """The first reload since it began: behind that line its neighbour may have another count."""
    doubtful: bool = False
    """Whether its last line may be one of the neighbour's newest object."""


@dataclass(slots=True)
class _Former:
    """An ExaBGP that has ended, as far as we know."""

    exabgp: int
    incarnation: str | None = None
    counters: dict[str, _Counter] = field(default_factory=dict)
    before: dict[str, _Counter] = field(default_factory=dict)


@dataclass(slots=True)
class _Hole:
    """A time in which lines of anybody's are missing, for a known reason."""

    since: datetime
    until: datetime
    cause: GapCause
    line: int = -1
    """Ahead of this one they are."""


@dataclass(slots=True)
class _Span:
    """Lines ahead of one that are lost, or may be, and of which each neighbour's counts tell its own."""

    line: int
    most: int
    """How many they are at most."""


@dataclass(slots=True)
class _CountingNote:
    """All that has to be remembered over a restart."""

    exabgp: int | None = None
    """ExaBGP's process number."""
    incarnation: str | None = None
    """What tells it from another one with the same number."""
    drained: bool = False
    """Whether its receiver read its pipe to the end, or it said goodbye: nothing of its last words is lost."""
    counters: dict[str, _Counter] = field(default_factory=dict)
    """The newest of each neighbour, or range."""
    before: dict[str, _Counter] = field(default_factory=dict)
    """The one that the neighbour's session began with, where that is not the newest."""
    former: _Former | None = None
    died: int | None = None
    """The last line with which a receiver began whose predecessor had not read everything."""
    knows_all: bool = False
    """Whether every neighbour of this ExaBGP is in `counters`: version 0.1 forgot them when one of them was reset."""
    hole: _Hole | None = None
    """The last one: what ExaBGP's counters miss around it, it has taken."""
    spans: list[_Span] = field(default_factory=list)
    """Where lines may be lost, since this ExaBGP began; the oldest ones together."""
    reloads: int | None = None
    """How many there were, as our receiver said last."""
    reloaded: bool = False
    """Whether there was one since this ExaBGP began."""


_NOTE = TypeAdapter(_CountingNote)


class Counting:
    """Follows the lines of one spool, see `collector.sources.source.Continuity`.

    Args:
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: what `note` gave at the position that reading starts from.
    """

    def __init__(self, ranges: Iterable[str], note: Mapping[str, Any]) -> None:
        self._state = _NOTE.validate_python(note) if note else _CountingNote()
        self._losses: list[Loss] = []
        self._counter_name = Neighbours(ranges).name_of

    def note(self) -> Mapping[str, Any]:
        """The state, as JSON can hold it."""
        noted: dict[str, Any] = _NOTE.dump_python(self._state, mode="json", exclude_none=True)
        return noted

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """Remember that the spool has lost lines: their counts are missing here."""
        self._state.hole = _Hole(since=since, until=until, cause="spool", line=line)
        self._may_lose(line, records)
        return True

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Take a word about ExaBGP's life, or its receiver's, into account."""
        state = self._state
        another = False
        if isinstance(message, Dropped):
            since = min(message.since, ts)
            state.hole = _Hole(since=since, until=ts, cause="disk", line=line)
            self._may_lose(line, message.lines)
            self._add(None, since, message.lines, "disk", message.reason)
        elif isinstance(message, ReceiverEnd | Shutdown):
            state.drained = True
        elif isinstance(message, Reload):
            self._reloaded(line, message.reloads)
        elif isinstance(message, ReceiverStart):
            another = self._start(line, message)
        if isinstance(message, Shutdown):
            return self._effect(ended="ExaBGP was shut down")
        return self._effect(ended=SILENCE if another else None)

    def _start(self, line: int, message: ReceiverStart) -> bool:
        """Take a receiver's begin into account; whether another ExaBGP began with it."""
        state = self._state
        if message.source.pid:  # 0: it had gone before its receiver could ask for its number
            said, known = message.incarnation, state.incarnation
            another = message.source.pid != state.exabgp or (said != known and None not in (said, known))
            if another:
                self._another(message.source.pid)
                state.reloads = message.reloads
            else:
                self._receiver_died(line, message.reloads)
            state.incarnation = said or state.incarnation
            return another
        self._receiver_died(line, message.reloads)
        return False

    def _receiver_died(self, line: int, reloads: int | None) -> None:
        """Another receiver begins to read the same ExaBGP; of a reload in between the one before may not have told."""
        if reloads is not None and reloads != self._state.reloads:
            self._reloaded(line, reloads)
        if not self._state.drained:
            self._state.died = line
            self._may_lose(line, _MOST_IN_PIPE)

    def _reloaded(self, line: int, reloads: int) -> None:
        state = self._state
        state.reloads, state.reloaded = reloads, True
        for counter in (*state.counters.values(), *state.before.values()):
            if counter.reloaded is None:
                counter.reloaded = line

    def _may_lose(self, line: int, most: int) -> None:
        spans = self._state.spans
        spans.append(_Span(line, most))
        if len(spans) > _MOST_SPANS:
            spans[1].most += spans.pop(0).most

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Take ExaBGP's count of a neighbour's lines into account."""
        state = self._state
        only = self._only(counted)
        if only is not None and counted.counter == only.count + 1:  # as nearly always
            state.drained = False
            only.asn, only.count, only.ts, only.line = counted.peer.asn, counted.counter, ts, line
            return NONE
        another = back = False
        if counted.pid != state.exabgp:
            back = self._is_former(counted)
            another = not back
            if back:
                self._back()
            else:
                self._another(counted.pid)
        if counted.counter is not None:
            self._count(line, ts, counted)
        if not (another or back or self._losses):
            return NONE
        return self._effect(ended=SILENCE if another else None, resumed={"exabgp_pid": counted.pid} if back else None)

    def _count(self, line: int, ts: datetime, counted: Counted) -> None:
        assert counted.counter is not None  # noqa: S101  # its caller has looked
        self._state.drained = False
        name = self._counter_name(counted.peer.address)
        counter = self._continued(name, counted)
        if counter is None:
            counter = self._begun(ts, name, counted)
        elif self._is_ahead_of_loss(counter) and self._fits_another(name, counter, counted):
            self._lost(ts, name, counted, counter, None)
            counter = self._doubted(name, counter, counted)
        elif counted.counter > counter.count + 1:
            lost = counted.counter - 1 - counter.count
            self._lost(ts, name, counted, counter, lost)
        counter.asn, counter.count, counter.ts, counter.line = counted.peer.asn, counted.counter, ts, line
        self._follow_session(ts, name, counter, counted)

    def _effect(self, ended: str | None, resumed: Mapping[str, Any] | None = None) -> Effect:
        losses, self._losses = self._losses, []
        return Effect(losses, ended, resumed)

    # --- whose count it is --------------------------------------------------------------------------------------

    def _only(self, counted: Counted) -> _Counter | None:
        """The only count that a line can go on with, as no other runs beside it and nothing may be lost since."""
        state = self._state
        name = self._counter_name(counted.peer.address)
        only = state.counters.get(name)
        if only is None or name in state.before or counted.pid != state.exabgp:
            return None
        return None if state.spans and self._is_ahead_of_loss(only) else only

    def _continued(self, name: str, counted: Counted) -> _Counter | None:
        """The count that a line goes on with; None if it begins one."""
        newest, before = self._state.counters.get(name), self._state.before.get(name)
        if newest is None or counted.counter is None:
            return None
        if before is None or counted.kind in _TOLD_OF_NEWEST:
            if before and before.doubtful and counted.counter == before.count + 1 != newest.count + 1:
                self._state.counters[name] = self._state.before.pop(name)
                return before
            return newest if counted.counter > newest.count else None
        for counter in (before, newest):
            if counted.counter == counter.count + 1:
                return counter
        likely = (newest, before) if before.left else (before, newest)
        possible = [counter for counter in likely if counted.counter > counter.count]
        explained = (one for one in possible if counted.counter - 1 - one.count <= self._most_lost(one.line))
        return next(explained, possible[0] if possible else None)

    def _is_ahead_of_loss(self, counter: _Counter) -> bool:
        """Whether lines may be lost since its last one."""
        spans = self._state.spans
        return bool(spans) and counter.line < spans[-1].line

    def _fits_another(self, name: str, counter: _Counter, counted: Counted) -> bool:
        """Whether a line may as well go on with another count than this one, and other lines be lost then."""
        newest, before = self._state.counters[name], self._state.before.get(name)
        others = [] if newest is counter else [(newest.count, newest.line)]
        if before and before is not counter and counted.kind not in _TOLD_OF_NEWEST:
            others.append((before.count, before.line))
        if newest.reloaded is not None:
            others.append((0, max(newest.line, newest.reloaded - 1)))
        assert counted.counter is not None  # noqa: S101  # its caller has looked
        return any(
            count != counter.count and 0 <= counted.counter - 1 - count <= self._most_lost(behind)
            for count, behind in others
        )

    def _most_lost(self, behind: int) -> int:
        """How many lines may be lost behind one, at most."""
        return sum(span.most for span in self._state.spans if span.line > behind)

    def _doubted(self, name: str, counter: _Counter, counted: Counted) -> _Counter:
        """The count of a line that may go on with more than one, for the lines behind it."""
        if counted.kind in _TOLD_OF_NEWEST and "/" not in name:  # the session may go on with the other one
            self._state.before.setdefault(name, counter)
            counter = self._state.counters[name] = replace(counter)
        counter.doubtful = True
        return counter

    def _begun(self, ts: datetime, name: str, counted: Counted) -> _Counter:
        """A count that begins here: a new neighbour's, or of the object that a reload made of it."""
        state = self._state
        old = state.counters.get(name)
        if old is not None:
            if name in state.before or "/" in name:
                self._over(ts, name, counted, old)
            else:
                state.before[name] = old
        unseen = old is None and state.reloaded and bool(state.spans)
        if unseen and "/" not in name:  # its session may have begun with another object, of which all is lost so far
            state.before[name] = _Counter(counted.peer.asn, 0, ts)
        counter = state.counters[name] = _Counter(counted.peer.asn, 0, ts)
        assert counted.counter is not None  # noqa: S101  # its caller has looked
        if counted.counter > 1:
            known = old is not None or (state.knows_all and not unseen)
            self._lost(ts, name, counted, old, counted.counter - 1 if known else None)
        return counter

    def _over(self, ts: datetime, name: str, counted: Counted, old: _Counter) -> None:
        """A count has ended; if its last lines may be lost, nobody can count them."""
        if old.count and (cause := self._what_may_hide(old)):
            self._lost(ts, name, counted, old, None, cause)

    def _follow_session(self, ts: datetime, name: str, counter: _Counter, counted: Counted) -> None:
        """Remember where the messages of the neighbour's session are to be expected."""
        before = self._state.before.get(name)
        if before is None:
            return
        if counted.kind in _ENDS_OF_SESSIONS:
            before.left = True
        elif counter is before:
            before.left = False
        elif counted.kind == "open" or (counted.kind not in _TOLD_OF_NEWEST and counter.count > 1):
            del self._state.before[name]
            self._over(ts, name, counted, before)

    def _what_may_hide(self, old: _Counter) -> GapCause | None:
        """Why last lines of a count that has ended may be lost; None if nothing suggests it."""
        state = self._state
        if state.hole and old.line < state.hole.line:
            return state.hole.cause
        return "pipe" if state.died is not None and old.line < state.died else None

    # --- which ExaBGP it is -------------------------------------------------------------------------------------

    def _is_former(self, counted: Counted) -> bool:
        former = self._state.former
        if former is None or former.exabgp != counted.pid or counted.counter is None:
            return False
        name = self._counter_name(counted.peer.address)
        return any(
            name in counters and counted.counter > counters[name].count for counters in (former.counters, former.before)
        )

    def _back(self) -> None:
        state, former = self._state, self._state.former
        assert former is not None  # noqa: S101  # its caller has looked
        state.exabgp, state.incarnation, state.drained = former.exabgp, former.incarnation, False
        state.counters, state.before, state.former = former.counters, former.before, None

    def _another(self, pid: int | None) -> None:
        state = self._state
        for name, newest in state.counters.items():
            counters = (newest, state.before.get(name, newest))
            hidden = [cause for cause in map(self._what_may_hide, counters) if cause]
            cause: GapCause | None = "end" if not state.drained else hidden[0] if hidden else None
            if cause:
                self._add(Peer(address=name, asn=newest.asn), newest.ts, None, cause)
        if state.exabgp is not None and state.counters:
            state.former = _Former(state.exabgp, state.incarnation, state.counters, state.before)
        state.exabgp, state.incarnation, state.drained = pid, None, False
        state.counters, state.before = {}, {}
        state.died, state.knows_all = None, True
        state.spans, state.reloaded = [], False

    # --- gaps ---------------------------------------------------------------------------------------------------

    def _lost(
        self,
        ts: datetime,
        name: str,
        counted: Counted,
        last: _Counter | None,
        lines: int | None,
        cause: GapCause | None = None,
    ) -> None:
        peer = Peer(address=name, asn=counted.peer.asn)
        self._add(peer, last.ts if last and last.count else None, lines, cause or self._cause(last, ts))

    def _cause(self, last: _Counter | None, ts: datetime) -> GapCause:
        hole = self._state.hole
        if hole and (last.line < hole.line if last else hole.since <= ts):
            return hole.cause
        return "pipe"

    def _add(
        self,
        peer: Peer | None,
        after: datetime | None,
        lines: int | None,
        cause: GapCause,
        reason: str | None = None,
    ) -> None:
        if lines is None and any(one.peer == peer and one.records is None for one in self._losses):
            return  # several counts of a neighbour may be in doubt at one line
        self._losses.append(Loss(peer, after, lines, cause, reason))
