"""What ExaBGP wrote and we never got: found by its counters, and by how our receivers ended.

ExaBGP counts the lines of each of its neighbour objects from 1 on, over all of its sessions. A jump is that many
lines lost: in its pipe when a receiver died, or for want of room on the disk, of which the receiver leaves a line. When
ExaBGP and its receiver ended together, the last lines cannot be counted, and the gap says so.

A reload makes new objects, and a count that steps back is that of a new one: the neighbour's only, and no word of
another ExaBGP. A session goes on with the object that it began with (reactor/protocol.py), while states are already
told of the new one (reactor/peer.py): so two counts of a neighbour may run beside each other until its next session.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from collector.sources.source import NONE, Effect, Loss
from schemas.documents import GapCause
from schemas.message import Counted, Dropped, Event, Peer, ReceiverEnd, Shutdown

SILENCE = "ExaBGP ended without a word"
"""Why sessions ended where another ExaBGP speaks, and the one before did not say that it would end."""

_TOLD_OF_NEWEST = frozenset(
    ("state", "connected", "up", "down", "open", "negotiated", "fsm", "signal", "sent", "packet")
)
"""Kinds of lines that ExaBGP counts with the newest object of a neighbour, or that begin a session with it."""
_ENDS_OF_SESSIONS = frozenset(("connected", "down"))

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
class _State:
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


_STATE = TypeAdapter(_State)


class Counting:
    """Follows the lines of one spool, see `collector.sources.source.Continuity`.

    Args:
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: what `note` gave at the position that reading starts from.
    """

    def __init__(self, ranges: Iterable[str], note: Mapping[str, Any]) -> None:
        self._state = _STATE.validate_python(note) if note else _State()
        self._ranges = [ipaddress.ip_network(one) for one in ranges]
        self._losses: list[Loss] = []

    def note(self) -> Mapping[str, Any]:
        """The state, as JSON can hold it."""
        noted: dict[str, Any] = _STATE.dump_python(self._state, mode="json", exclude_none=True)
        return noted

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> None:  # noqa: ARG002  # the protocol's
        """Remember that the spool has lost lines: their counts are missing here."""
        self._state.hole = _Hole(since=since, until=until, cause="spool", line=line)

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Take a word about ExaBGP's life, or its receiver's, into account."""
        state = self._state
        another = False
        if isinstance(message, Dropped):
            since = min(message.since, ts)
            state.hole = _Hole(since=since, until=ts, cause="disk", line=line)
            self._add(None, since, message.lines, "disk", message.reason)
        elif isinstance(message, ReceiverEnd | Shutdown):
            state.drained = True
        elif message.source.pid:  # 0: it had gone before its receiver could ask for its number
            said, known = message.incarnation, state.incarnation
            another = message.source.pid != state.exabgp or (said != known and None not in (said, known))
            if another:
                self._another(message.source.pid)
            elif not state.drained:
                state.died = line
            state.incarnation = said or state.incarnation
        elif not state.drained:
            state.died = line
        if isinstance(message, Shutdown):
            return self._effect(ended="ExaBGP was shut down")
        return self._effect(ended=SILENCE if another else None)

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Take ExaBGP's count of a neighbour's lines into account."""
        another = back = False
        if counted.pid != self._state.exabgp:
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
        elif counted.counter > counter.count + 1:
            lost = counted.counter - 1 - counter.count
            self._lost(ts, name, counted, counter, lost)
        counter.asn, counter.count, counter.ts, counter.line = counted.peer.asn, counted.counter, ts, line
        self._follow_session(ts, name, counter, counted)

    def _effect(self, ended: str | None, resumed: Mapping[str, Any] | None = None) -> Effect:
        losses, self._losses = self._losses, []
        return Effect(losses, ended, resumed)

    # --- whose count it is --------------------------------------------------------------------------------------

    def _continued(self, name: str, counted: Counted) -> _Counter | None:
        """The count that a line goes on with; None if it begins one."""
        newest, before = self._state.counters.get(name), self._state.before.get(name)
        if newest is None or counted.counter is None:
            return None
        if before is None or counted.kind in _TOLD_OF_NEWEST:
            return newest if counted.counter > newest.count else None
        for counter in (before, newest):
            if counted.counter == counter.count + 1:
                return counter
        likely = (newest, before) if before.left else (before, newest)
        return next((counter for counter in likely if counted.counter > counter.count), None)

    def _begun(self, ts: datetime, name: str, counted: Counted) -> _Counter:
        """A count that begins here: a new neighbour's, or of the object that a reload made of it."""
        state = self._state
        old = state.counters.get(name)
        if old is not None:
            if name not in state.before:
                state.before[name] = old
            elif "/" in name:
                self._over(ts, name, counted, state.before[name])
                state.before[name] = old
            else:
                self._over(ts, name, counted, old)
        counter = state.counters[name] = _Counter(counted.peer.asn, 0, ts)
        assert counted.counter is not None  # noqa: S101  # its caller has looked
        if counted.counter > 1:
            known = state.knows_all or old is not None
            self._lost(ts, name, counted, old, counted.counter - 1 if known else None)
        return counter

    def _over(self, ts: datetime, name: str, counted: Counted, old: _Counter) -> None:
        """A count has ended; if its last lines may be lost, nobody can count them."""
        if cause := self._what_may_hide(old):
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
        elif "/" not in name and (
            counted.kind == "open" or (counted.kind not in _TOLD_OF_NEWEST and counter.count > 1)
        ):
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

    def _another(self, pid: int) -> None:
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
        self._add(peer, last.ts if last else None, lines, cause or self._cause(last, ts))

    def _cause(self, last: _Counter | None, ts: datetime) -> GapCause:
        hole = self._state.hole
        if hole and (last.line < hole.line if last else hole.since <= ts):
            return hole.cause
        return "pipe"

    def _counter_name(self, address: str) -> str:
        if self._ranges:
            parsed = ipaddress.ip_address(address)
            for network in self._ranges:
                if parsed in network:
                    return str(network)
        return address

    def _add(
        self,
        peer: Peer | None,
        after: datetime | None,
        lines: int | None,
        cause: GapCause,
        reason: str | None = None,
    ) -> None:
        self._losses.append(Loss(peer, after, lines, cause, reason))
