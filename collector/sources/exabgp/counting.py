"""Detects lines that ExaBGP wrote and we never received, by its counters, and by how our receivers ended.

ExaBGP counts the lines of each of its neighbour objects from 1, over all of its sessions. A jump is the number of lost
lines: in its pipe when a receiver died, or for lack of disk space, which the receiver records in a line. If ExaBGP and
its receiver ended together, the last lines cannot be counted, and the gap says so.

A reload makes new objects. A count that steps back belongs to a new object of that neighbour, and does not mean another
ExaBGP. A session continues with the object with which it began (reactor/protocol.py), while states are already reported
by the new one (reactor/peer.py): so two counts of a neighbour may run in parallel until its next session. At a reload
all peers of a range are dropped, and their old count with them (reactor/loop.py).

A new count that has passed the old one, with all lines in between lost, looks like the old one. Our receiver reports
reloads, and how it ended limits what may be lost: if a line may continue more than one count, the number of lost lines
is unknown, and the gap says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from pydantic import TypeAdapter

from collector.sources.exabgp.counting_note import Counter, CountingNote, Former, Hole, Span
from collector.sources.exabgp.neighbours import Neighbours
from collector.sources.source import NONE, Effect, Loss, SessionFacts
from schemas.message import Counted, Dropped, Event, ReceiverEnd, ReceiverStart, Reload, Shutdown
from schemas.notes import SourceNote
from schemas.peer import Peer
from schemas.stored import GapCause

SILENCE = "ExaBGP ended without a word"
"""The reason for the end of sessions when ExaBGP has ended without announcing it."""

_BY_NEWEST_OBJECT = frozenset(
    ("state", "connected", "up", "down", "open", "negotiated", "fsm", "signal", "sent", "sent_update", "packet")
)
"""Kinds of lines that ExaBGP counts with the newest object of a neighbour, or that begin a session with it."""
_MOST_IN_PIPE = 2 * 2**20 // 200
"""The maximum number of lines lost with a receiver: a full pipe and what it has just read, of ExaBGP's shortest
lines."""
_MOST_SPANS = 16
"""How many spans are remembered individually."""

_NOTE = TypeAdapter(CountingNote)


class _Line(NamedTuple):
    """The identification of a line."""

    number: int
    """Its number in the spool."""
    ts: datetime
    name: str
    """The name of its counter: a peer's address, or a range."""
    asn: int
    counter: int
    kind: str | None
    of_newest: bool
    """Whether ExaBGP counts it with the newest object of the neighbour, whatever object the session began with."""


class Counting:
    """Follows the lines of one spool, see `collector.sources.source.Continuity`.

    Args:
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: the value of `note` at the position that reading starts from.
    """

    def __init__(self, ranges: Iterable[str], note: SourceNote) -> None:
        self._state = _NOTE.validate_python(note) if note else CountingNote()
        self._losses: list[Loss] = []
        self._counter_name = Neighbours(ranges).name_of

    def note(self) -> SourceNote:
        """The state, as JSON."""
        noted: SourceNote = _NOTE.dump_python(self._state, mode="json", exclude_none=True)
        return noted

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """Remember that the spool has lost lines, whose counts will be missing."""
        self._state.hole = Hole(since=since, until=until, cause="spool", line=line)
        self._may_lose(line, records)
        return True

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Process an event of ExaBGP, or of its receiver."""
        state = self._state
        another = False
        if isinstance(message, Dropped):
            since = min(message.since, ts)
            state.hole = Hole(since=since, until=ts, cause="disk", line=line)
            self._may_lose(line, message.lines)
            self._add(None, since, message.lines, "disk", message.reason)
        elif isinstance(message, ReceiverEnd | Shutdown):
            state.drained, state.unnamed = True, False
        elif isinstance(message, Reload):
            self._reloaded(line, message.reloads)
        elif isinstance(message, ReceiverStart):
            another = self._start(line, message)
        if isinstance(message, Shutdown):
            return self._effect(ended="ExaBGP was shut down")
        ended = another or (isinstance(message, ReceiverEnd) and message.source_ended)
        return self._effect(ended=SILENCE if ended else None)

    def _start(self, line: int, message: ReceiverStart) -> bool:
        """Process a receiver's start; returns whether another ExaBGP began with it."""
        state, pid = self._state, message.source.pid
        incarnation, known = message.incarnation, state.incarnation
        # 0: it had ended before its receiver could read its pid, and may be another one
        another = bool(pid) and (pid != state.exabgp or (incarnation != known and None not in (incarnation, known)))
        state.drained = state.drained and not state.unnamed
        if another:
            self._another(pid)
            state.reloads = message.reloads
        else:
            self._receiver_died(line, message.reloads)
        state.drained, state.unnamed = state.drained and not pid, not pid
        state.incarnation = incarnation or state.incarnation
        return another

    def _receiver_died(self, line: int, reloads: int | None) -> None:
        """Another receiver reads from the same ExaBGP; the previous one may not have reported the last reloads."""
        if reloads is not None and reloads != self._state.reloads:
            self._reloaded(line, reloads)
        if not self._state.drained:
            self._state.died = line
            self._may_lose(line, _MOST_IN_PIPE)

    def _reloaded(self, line: int, reloads: int) -> None:
        state = self._state
        state.reloads, state.reloaded = reloads, True
        for counter in state.counters.values():
            if counter.reloaded is None:
                counter.reloaded = line

    def _may_lose(self, line: int, most: int) -> None:
        spans = self._state.spans
        spans.append(Span(line, most))
        if len(spans) > _MOST_SPANS:
            spans[1].most += spans.pop(0).most

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Process ExaBGP's count of a neighbour's line."""
        state = self._state
        only = self._only(counted)
        if only is not None and counted.counter == only.count + 1:  # nearly always
            state.drained = state.unnamed = False
            only.asn, only.count, only.ts, only.line = counted.peer.asn, counted.counter, ts, line
            return NONE
        if counted.counter is None:
            return NONE
        another = back = False
        if counted.pid != state.exabgp:
            back = self._is_former(counted, counted.counter)
            another = not back
            if back:
                self._back()
            else:
                self._another(counted.pid)
        self._count(self._line(line, ts, counted, counted.counter))
        if not (another or back or self._losses):
            return NONE
        return self._effect(ended=SILENCE if another else None, resumed={"exabgp_pid": counted.pid} if back else None)

    def _line(self, number: int, ts: datetime, counted: Counted, count: int) -> _Line:
        name, kind = self._counter_name(counted.peer.address), counted.kind
        return _Line(number, ts, name, counted.peer.asn, count, kind, kind in _BY_NEWEST_OBJECT)

    def _count(self, line: _Line) -> None:
        self._state.drained = self._state.unnamed = False
        counter = self._continued(line)
        in_doubt = counter is not None and self._is_ahead_of_loss(counter) and self._fits_another(counter, line)
        if counter is None:
            counter = self._begun(line)
        elif in_doubt:
            self._lost(line, counter, None)
            counter = self._doubted(counter, line)
        elif line.counter > counter.count + 1:
            # If no line of an object was received, further objects may have existed since, with all lines lost.
            self._lost(line, counter, line.counter - 1 - counter.count if counter.count else None)
        counter.asn, counter.count, counter.ts, counter.line = line.asn, line.counter, line.ts, line.number
        if line.of_newest:
            self._settle(line.name, counter)
        self._follow_session(counter, line)

    def _effect(self, ended: str | None, resumed: SessionFacts | None = None) -> Effect:
        losses, self._losses = self._losses, []
        return Effect(losses, ended, resumed)

    # --- which count a line belongs to ---------------------------------------------------------------------------

    def _only(self, counted: Counted) -> Counter | None:
        """The only count that a line can continue, if no other runs in parallel and nothing may be lost since."""
        state = self._state
        name = self._counter_name(counted.peer.address)
        only = state.counters.get(name)
        if only is None or name in state.before or counted.pid != state.exabgp:
            return None
        return None if self._is_ahead_of_loss(only) else only

    def _candidates(self, line: _Line) -> list[Counter]:
        """The counts that a line may continue, the most likely first."""
        newest, before = self._state.counters.get(line.name), self._state.before.get(line.name)
        if newest is None:
            return []
        if before is None:
            return [newest]
        return [newest] if line.of_newest and not before.doubtful else [before, newest]

    def _continued(self, line: _Line) -> Counter | None:
        """The count that a line continues; None if it begins a new one."""
        possible = [counter for counter in self._candidates(line) if line.counter > counter.count]
        explained = (one for one in possible if line.counter - 1 - one.count <= self._most_lost(one.line))
        return next(explained, None) or next(iter(possible), None)

    def _is_ahead_of_loss(self, counter: Counter) -> bool:
        """Whether lines may be lost since its last one."""
        spans = self._state.spans
        return bool(spans) and counter.line < spans[-1].line

    def _fits_another(self, counter: Counter, line: _Line) -> bool:
        """Whether a line may also continue another count than this one, if other lines are lost."""
        candidates = self._candidates(line)
        others = [(one.count, one.line) for one in candidates if one is not counter]
        # After each there may have been another one, of which everything is lost so far.
        others += [(0, max(one.line, one.reloaded - 1)) for one in candidates if one.reloaded is not None]
        return any(
            count != counter.count and 0 <= line.counter - 1 - count <= self._most_lost(behind)
            for count, behind in others
        )

    def _most_lost(self, behind: int) -> int:
        """The maximum number of lines that may be lost after one."""
        return sum(span.most for span in self._state.spans if span.line > behind)

    def _doubted(self, counter: Counter, line: _Line) -> Counter:
        """The count of a line that may continue more than one, for the lines after it."""
        state = self._state
        if not line.of_newest:
            counter.doubtful = counter is state.before.get(line.name)
        elif "/" not in line.name:  # the session may continue with the other one
            state.before.setdefault(line.name, counter)
            counter = state.counters[line.name] = replace(counter, doubtful=False)
        return counter

    def _settle(self, name: str, newest: Counter) -> None:
        """A line counted with the newest object decides: it belongs to this count, and not to the other one."""
        state = self._state
        before = state.before.get(name)
        if before is newest:
            state.counters[name] = state.before.pop(name)
        if before is not None:
            before.doubtful = False

    def _begun(self, line: _Line) -> Counter:
        """A count that begins here: that of a new neighbour, or of an object made by a reload."""
        state, name = self._state, line.name
        old = state.counters.get(name)
        if old is not None:
            if name in state.before or "/" in name:
                self._over(line, old)
            else:
                state.before[name] = old
        unseen = old is None and state.reloaded and bool(state.spans)
        # its session may have begun with another object, of which everything is lost so far
        if unseen and "/" not in name:
            state.before[name] = Counter(line.asn, 0, line.ts)
        counter = state.counters[name] = Counter(line.asn, line.counter, line.ts, line.number)
        if line.counter > 1:
            known = old is not None or (state.knows_all and not unseen)
            self._lost(line, old, line.counter - 1 if known else None)
        return counter

    def _over(self, line: _Line, old: Counter) -> None:
        """A count has ended; if its last lines may be lost, nobody can count them."""
        if old.count and self._what_may_hide(old):
            self._lost(line, old, None)

    def _follow_session(self, counter: Counter, line: _Line) -> None:
        """Forget the count of the previous session when another one begins with the newest object."""
        before = self._state.before.get(line.name)
        if before is None or counter is before:
            return
        if line.kind == "open" or not line.of_newest:
            del self._state.before[line.name]
            self._over(line, before)

    def _what_may_hide(self, old: Counter) -> GapCause | None:
        """Why the last lines of an ended count may be lost; None if nothing suggests that."""
        state = self._state
        if state.hole and old.line < state.hole.line:
            return state.hole.cause
        return "pipe" if state.died is not None and old.line < state.died else None

    # --- which ExaBGP it is -------------------------------------------------------------------------------------

    def _is_former(self, counted: Counted, count: int) -> bool:
        former = self._state.former
        if former is None or former.exabgp != counted.pid:
            return False
        name = self._counter_name(counted.peer.address)
        return any(name in counters and count > counters[name].count for counters in (former.counters, former.before))

    def _back(self) -> None:
        state, former = self._state, self._state.former
        assert former is not None  # noqa: S101  # its caller has looked
        state.exabgp, state.incarnation = former.exabgp, former.incarnation
        state.counters, state.before, state.former = former.counters, former.before, None

    def _another(self, pid: int | None) -> None:
        state = self._state
        for name, newest in state.counters.items():
            counters = (newest, state.before.get(name, newest))
            hidden = (why for counter in counters if (why := self._what_may_hide(counter)))
            cause: GapCause | None = next(hidden, None) if state.drained else "end"
            if cause:
                self._add(Peer(address=name, asn=newest.asn), newest.ts, None, cause)
        if state.counters:
            state.former = Former(state.exabgp, state.incarnation, state.counters, state.before)
        state.exabgp, state.incarnation, state.drained, state.unnamed = pid, None, False, False
        state.counters, state.before = {}, {}
        state.died, state.knows_all = None, True
        state.spans, state.reloaded = [], False

    # --- gaps ---------------------------------------------------------------------------------------------------

    def _lost(self, line: _Line, last: Counter | None, lines: int | None) -> None:
        after = last.ts if last and last.count else None
        self._add(Peer(address=line.name, asn=line.asn), after, lines, self._cause(last, line.ts))

    def _cause(self, last: Counter | None, ts: datetime) -> GapCause:
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
