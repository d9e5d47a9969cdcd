"""Gaps: records that a source sent and we do not have, found by the spool's numbering and by the source's own.

Here is what holds for all sources: records that a damaged spool lost, records that cannot be read, and sessions of
which the begin was not heard. What else is lost its own `Continuity` finds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.sources.source import NONE, Continuity, Effect, Loss
from schemas.documents import COUNTED_CAUSES, Gap, Place
from schemas.keys import key_collector, make_gap_key, make_key
from schemas.message import Counted, Event, Peer


@dataclass(slots=True)
class GapState:
    """The state that survives a restart."""

    next_line: int | None = None
    gaps: int = 0
    lost: int = 0
    unreadable: int = 0


class GapFinder:
    """Follows the records of one spool, and finds what is missing.

    Args:
        collector: the collector's name.
        number: what stands for it in keys.
        continuity: finds what the source itself can tell of.
        state: what `state` was at the position that reading starts from.
    """

    def __init__(self, collector: str, number: int, continuity: Continuity, state: GapState) -> None:
        self.state = state
        self._collector = collector
        self._number = number
        self._continuity = continuity
        self._found: list[Gap] = []

    def take(self) -> Sequence[Gap]:
        """The gaps found since the last call."""
        found, self._found = self._found, []
        return found

    def line(self, line: int, before: datetime, ts: datetime) -> None:
        """Take the number of the next record into account: what a damaged segment held is missing before it.

        Args:
            line: its number.
            before: the time of the one before it.
            ts: its own time.
        """
        expected = self.state.next_line
        missing = 0 if expected is None else max(line - expected, 0)
        if missing and self._continuity.hole(line, before, ts, missing):
            self._add(line, ts, Loss(None, before, missing, "spool"))
        self.state.next_line = line + 1

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Process an event of the source or its receiver."""
        return self._taken(line, ts, self._continuity.event(line, ts, message))

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Process the identification of a peer's record."""
        effect = self._continuity.count(line, ts, counted)
        return effect if effect is NONE else self._taken(line, ts, effect)

    def reject(self, line: int, ts: datetime, peer: Peer, reason: str) -> None:
        """Take note of a peer's record that cannot be read, and may have said anything of its routes."""
        self.state.unreadable += 1
        self.state.gaps += 1
        place = Place(make_key(ts, self._number, line), ts, self._collector, None)
        self._found.append(rejected(place, line, peer, reason))

    def unheard(self, line: int, after: datetime | None, ts: datetime, peer: Peer) -> None:
        """Take note of a peer that speaks in a session of which we have not heard that it began, or went on."""
        if not self.is_behind_gap(line, peer):
            self._add(line, ts, Loss(peer, after, None, "session"))

    def is_behind_gap(self, line: int, peer: Peer) -> bool:
        """Whether a record has just told that some of a peer's are lost."""
        return any(gap.line == line and gap.peer and _holds(gap.peer, peer) for gap in self._found)

    def _taken(self, line: int, ts: datetime, effect: Effect) -> Effect:
        for loss in effect.losses:
            self._add(line, ts, loss)
        return effect

    def _add(self, line: int, ts: datetime, loss: Loss) -> None:
        whose = loss.peer.name if loss.peer else ""
        if loss.records is None and loss.cause in COUNTED_CAUSES:  # some that can be counted may be lost here too
            whose += " unknown"
        key = make_gap_key(ts, self._number, line, whose)
        facts: dict[str, Any] = {"peer": loss.peer, "after": loss.after, "lines": loss.records, "cause": loss.cause}
        self._found.append(Gap(key=key, collector=self._collector, ts=ts, line=line, reason=loss.reason, **facts))
        self.state.gaps += 1
        if loss.peer:  # what is nobody's in particular is counted with its peers' next records
            self.state.lost += loss.records or 0


def _holds(whose: Peer, peer: Peer) -> bool:
    """Whether a peer's records are among those of a peer, or of a range."""
    if "/" in whose.address:
        return ipaddress.ip_address(peer.address) in ipaddress.ip_network(whose.address)
    return whose.name == peer.name


def rejected(place: Place, line: int, peer: Peer, reason: str) -> Gap:
    """The gap of a peer's record that cannot be read, or stored, and may have said anything of its routes.

    Args:
        place: where the record belongs.
        line: its number.
        peer: whose it is.
        reason: why not.
    """
    return Gap(
        key=make_gap_key(place.ts, key_collector(place.key), line, f"{peer.name} reject"),
        collector=place.collector,
        ts=place.ts,
        line=line,
        peer=peer,
        after=place.ts,
        lines=1,
        cause="reject",
        reason=reason,
    )
