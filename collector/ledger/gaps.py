"""What ExaBGP wrote and we never got: found by its counters, by line numbers, and by how our receivers ended.

ExaBGP counts the lines of each neighbour from 1 on, over all of its sessions. A jump is that many lines lost: in its
pipe when a receiver died, or for want of room on the disk, of which the receiver leaves a line. When ExaBGP and its
receiver ended together, the last lines cannot be counted, and the gap says so.
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
            self.state.hole = _Hole(since=before, until=ts, cause="spool")
            self._add(line, None, before, ts, line - expected, "spool")
        self.state.next_line = line + 1

    def helper(self, line: int, message: HelperStart | HelperEnd | Dropped | Shutdown) -> bool:
        """Take a word about ExaBGP's life, or its receiver's, into account.

        Returns:
            Whether another ExaBGP begins here than the one before.
        """
        state = self.state
        if isinstance(message, Dropped):
            state.hole = _Hole(since=message.since, until=message.ts, cause="disk")
            self._add(line, None, message.since, message.ts, message.lines, "disk", message.reason)
        elif isinstance(message, HelperEnd | Shutdown):
            state.drained = True
        elif message.source.pid:  # 0: it had gone before its receiver could ask for its number
            another = message.source.pid != state.exabgp or message.incarnation != state.incarnation is not None
            if another:
                self._another(line, message.ts, message.source.pid)
            state.incarnation = message.incarnation
            return another
        return False

    def count(self, line: int, ts: datetime, counted: Counted) -> bool:
        """Take ExaBGP's count of a neighbour's lines into account.

        Returns:
            Whether another ExaBGP begins here than the one before.
        """
        if another := self._is_another(counted):
            self._another(line, ts, counted.pid)
        if counted.counter is None:
            return another
        self.state.drained = False
        name = self._counter_name(counted.peer.address)
        last = self.state.counters.get(name)
        self.state.counters[name] = _Counter(asn=counted.peer.asn, count=counted.counter, ts=ts)
        lost = counted.counter - 1 - (last.count if last else 0)
        if lost > 0:
            after = last.ts if last else None
            self._add(line, Peer(address=name, asn=counted.peer.asn), after, ts, lost, self._cause(after, ts))
        return another

    def _is_another(self, counted: Counted) -> bool:
        """Whether a line can only be of another ExaBGP, of which no receiver told: it counts from 1 again."""
        if counted.pid != self.state.exabgp:
            return True
        last = self.state.counters.get(self._counter_name(counted.peer.address))
        return last is not None and counted.counter is not None and counted.counter <= last.count

    def _another(self, line: int, ts: datetime, pid: int) -> None:
        state = self.state
        if not state.drained:
            for name, counter in state.counters.items():
                self._add(line, Peer(address=name, asn=counter.asn), counter.ts, ts, None, "end")
        state.exabgp, state.incarnation, state.drained = pid, None, False
        state.counters.clear()

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
        key = make_gap_key(before, self._number, line, peer.address if peer else "")
        facts: dict[str, Any] = {"peer": peer, "after": after, "lines": lines, "cause": cause, "reason": reason}
        self._found.append(Gap(key=key, collector=self._collector, ts=before, line=line, **facts))
        self.state.gaps += 1
        if peer:  # what is nobody's in particular is counted with its peers' next lines
            self.state.lost += lines or 0
