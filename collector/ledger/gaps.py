"""What ExaBGP wrote and we never got: found by its counters, by line numbers, and by how our receivers ended.

ExaBGP counts the lines of each neighbour from 1 on, over all of its sessions. A jump is that many lines lost: in its
pipe when a receiver died, or for want of room on the disk, of which the receiver leaves a line. When ExaBGP and its
receiver ended together, the last lines cannot be counted, and the gap says so.

The count belongs to ExaBGP's *object* of a neighbour, and a reload makes new ones: that neighbour's count begins at 1
again, at the reload or at its next reset, and nobody else's. So a step back restarts one count. It hides nothing unless
lines may have been lost since the last one: then nobody knows how far the old count had come, and the gap says that.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.documents import Gap, GapCause, make_gap_key
from schemas.message import Counted, Dropped, HelperEnd, HelperStart, Peer, Shutdown

# Plain dataclasses: their attributes change with every line, and pydantic would look at each change.


@dataclass(slots=True)
class _Counter:
    """ExaBGP's count of lines of one neighbour; peers of a range share one."""

    asn: int
    count: int
    ts: datetime
    whole: bool = True
    """Whether nothing can have been lost behind the last line."""
    before: int | None = None
    """How far the count of the object before this one had come: that object may have something left to say."""


@dataclass(slots=True)
class _Hole:
    """A time in which lines of anybody's are missing, for a known reason."""

    since: datetime
    until: datetime
    cause: GapCause


@dataclass(slots=True)
class GapState:
    """All that has to be remembered over a restart."""

    next_line: int | None = None
    exabgp: int | None = None
    """ExaBGP's process number."""
    incarnation: str | None = None
    """What tells it from another one with the same number."""
    drained: bool = False
    """Whether its receiver read its pipe to the end, or it said goodbye: nothing of its last words is lost."""
    counters: dict[str, _Counter] = field(default_factory=dict)
    hole: _Hole | None = None
    """The last one: what ExaBGP's counters miss around it, it has taken."""
    gaps: int = 0
    lost: int = 0
    unreadable: int = 0


class GapFinder:
    """Follows the lines of one spool, and finds what is not among them.

    Args:
        collector: the collector's name.
        number: what stands for it in keys.
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        state: what `state` was at the position that reading starts from.
    """

    def __init__(self, collector: str, number: int, ranges: Iterable[str], state: GapState) -> None:
        self.state = state
        self._collector = collector
        self._number = number
        self._ranges = [ipaddress.ip_network(one) for one in ranges]
        self._found: list[Gap] = []

    def take(self) -> Sequence[Gap]:
        """The gaps found since the last call."""
        found, self._found = self._found, []
        return found

    def line(self, line: int, before: datetime, ts: datetime) -> None:
        """Take the number of the next line into account: what a damaged segment held is missing before it.

        Args:
            line: its number.
            before: the time of the line before it.
            ts: its own time.
        """
        expected = self.state.next_line
        if expected is not None and line > expected:
            self._doubt()
            self.state.hole = _Hole(since=before, until=ts, cause="spool")
            self._add(line, None, before, ts, line - expected, "spool")
        self.state.next_line = line + 1

    def helper(self, line: int, message: HelperStart | HelperEnd | Dropped | Shutdown, ts: datetime) -> bool:
        """Take a word about ExaBGP's life, or its receiver's, into account.

        Args:
            line: its number.
            message: the word.
            ts: its stored time.

        Returns:
            Whether another ExaBGP begins here than the one before.
        """
        state = self.state
        if isinstance(message, Dropped):
            self._doubt()
            since = min(message.since, ts)
            state.hole = _Hole(since=since, until=ts, cause="disk")
            self._add(line, None, since, ts, message.lines, "disk", message.reason)
        elif isinstance(message, HelperEnd | Shutdown):
            state.drained = True
        elif message.source.pid:
            another = message.source.pid != state.exabgp or message.incarnation != state.incarnation is not None
            if another:
                self._another(line, ts, message.source.pid)
            elif not state.drained:
                self._doubt()  # the receiver before this one died, and lines with it
            state.incarnation = message.incarnation
            return another
        else:  # it had gone before its receiver could ask for its number
            self._doubt()
        return False

    def count(self, line: int, ts: datetime, counted: Counted) -> bool:
        """Take ExaBGP's count of a neighbour's lines into account.

        Returns:
            Whether another ExaBGP begins here than the one before.
        """
        if another := counted.pid != self.state.exabgp:
            self._another(line, ts, counted.pid)
        if counted.counter is None:
            return another
        self.state.drained = False
        name = self._counter_name(counted.peer.address)
        last = self.state.counters.get(name)
        before, lost = _lost(last, counted.counter)
        self.state.counters[name] = _Counter(asn=counted.peer.asn, count=counted.counter, ts=ts, before=before)
        if lost != 0:
            after = last.ts if last else None
            self._add(line, Peer(address=name, asn=counted.peer.asn), after, ts, lost, self._cause(after, ts))
        return another

    def reject(self, line: int, ts: datetime, peer: Peer, reason: str) -> None:
        """Take note of a peer's line that cannot be read, and may have said anything of its routes."""
        self.state.unreadable += 1
        self._add(line, peer, ts, ts, 1, "reject", reason)

    def unheard(self, line: int, after: datetime | None, ts: datetime, peer: Peer) -> None:
        """Take note of a peer that speaks in a session of which we have not heard that it began, or went on."""
        if not self.is_behind_gap(line, peer.address):
            self._add(line, peer, after, ts, None, "session")

    def is_behind_gap(self, line: int, address: str) -> bool:
        """Whether a line has just told that lines of a peer's are lost."""
        name = self._counter_name(address)
        return any(gap.line == line and gap.peer and gap.peer.address == name for gap in self._found)

    def _another(self, line: int, ts: datetime, pid: int) -> None:
        state = self.state
        if not state.drained:
            for name, counter in state.counters.items():
                self._add(line, Peer(address=name, asn=counter.asn), counter.ts, ts, None, "end")
        state.exabgp, state.incarnation, state.drained = pid, None, False
        state.counters.clear()

    def _doubt(self) -> None:
        """From each count's last line on something may be lost, until its next line tells."""
        for counter in self.state.counters.values():
            counter.whole = False

    def _cause(self, after: datetime | None, ts: datetime) -> GapCause:
        hole = self.state.hole
        return hole.cause if hole and hole.since <= ts and (after is None or after <= hole.until) else "pipe"

    def _counter_name(self, address: str) -> str:
        if self._ranges:
            parsed = ipaddress.ip_address(address)
            for network in self._ranges:
                if parsed in network:
                    return str(network)
        return address

    def _add(
        self,
        line: int,
        peer: Peer | None,
        after: datetime | None,
        before: datetime,
        lines: int | None,
        cause: GapCause,
        reason: str | None = None,
    ) -> None:
        whose = peer.address if peer else ""
        key = make_gap_key(before, self._number, line, f"{whose} reject" if cause == "reject" else whose)
        facts: dict[str, Any] = {"peer": peer, "after": after, "lines": lines, "cause": cause, "reason": reason}
        self._found.append(Gap(key=key, collector=self._collector, ts=before, line=line, **facts))
        self.state.gaps += 1
        if peer and cause != "reject":  # what is nobody's in particular is counted with its peers' next lines
            self.state.lost += lines or 0


def _lost(last: _Counter | None, count: int) -> tuple[int | None, int | None]:
    """What a neighbour's next count tells: how far the object before had come, and how many lines are lost.

    Returns:
        None for the number where it cannot be known.
    """
    if last is None:
        return None, count - 1
    if count > last.count:
        if last.whole and last.before is not None and count == last.before + 1:
            return last.count, 0  # the object before had something left to say
        return last.before, count - 1 - last.count
    return last.count, count - 1 if last.whole else None
