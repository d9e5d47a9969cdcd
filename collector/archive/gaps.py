"""Finds gaps, records that a source sent and the archive does not have, by the numbers of spool and source.

This module finds what applies to all sources: records lost in a damaged spool, records that cannot be read, and
sessions whose beginning was not recorded. A source's own `Continuity` finds everything else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.sources.source import NONE, Continuity, Effect, Loss
from schemas.documents import COUNTED_CAUSES, Gap, Place
from schemas.keys import key_collector, make_gap_key, make_key
from schemas.message import Counted, Event
from schemas.peer import Peer


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
        number: the collector's number in keys.
        continuity: finds the gaps that only the source can reveal.
        state: the value of `state` at the position that reading starts from.
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
        """Process the number of the next record: if a segment was damaged, records are missing before it.

        Args:
            line: its number.
            before: the time of the previous record.
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
        """Process a peer's record that cannot be read, and that may have changed any of its routes."""
        self.state.unreadable += 1
        self.state.gaps += 1
        place = Place(make_key(ts, self._number, line), ts, self._collector, None)
        self._found.append(rejected(place, line, peer, reason))

    def unheard(self, line: int, after: datetime | None, ts: datetime, peer: Peer) -> None:
        """Process a message of a session whose beginning, or continuation, was not recorded."""
        if not self.is_behind_gap(line, peer):
            self._add(line, ts, Loss(peer, after, None, "session"))

    def is_behind_gap(self, line: int, peer: Peer) -> bool:
        """Whether a record has just revealed that some of a peer's records were lost."""
        return any(gap.line == line and gap.peer and _holds(gap.peer, peer) for gap in self._found)

    def _taken(self, line: int, ts: datetime, effect: Effect) -> Effect:
        for loss in effect.losses:
            self._add(line, ts, loss)
        return effect

    def _add(self, line: int, ts: datetime, loss: Loss) -> None:
        whose = loss.peer.name if loss.peer else ""
        # some that can be counted may also have been lost here
        if loss.records is None and loss.cause in COUNTED_CAUSES:
            whose += " unknown"
        key = make_gap_key(ts, self._number, line, whose)
        gap = Gap(
            key=key,
            collector=self._collector,
            ts=ts,
            line=line,
            peer=loss.peer,
            after=loss.after,
            lines=loss.records,
            cause=loss.cause,
            reason=loss.reason,
        )
        self._found.append(gap)
        self.state.gaps += 1
        if loss.peer:  # records of no particular peer are counted with the next records of their peers
            self.state.lost += loss.records or 0


def _holds(whose: Peer, peer: Peer) -> bool:
    """Whether a peer is the given one, or in the given range."""
    if "/" in whose.address:
        return ipaddress.ip_address(peer.address) in ipaddress.ip_network(whose.address)
    return whose.name == peer.name


def rejected(place: Place, line: int, peer: Peer, reason: str) -> Gap:
    """The gap of a peer's record that cannot be read or stored, and that may have changed any of its routes.

    Args:
        place: where the record belongs.
        line: its number.
        peer: whose record it is.
        reason: why it cannot be read or stored.
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
