"""One peer's Adj-RIB-Out (RFC 4271 3.2) in its ExaBGP: what was acknowledged, what is in flight, what was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from collector.acting.book import Book
from collector.acting.policy import towards
from collector.acting.speakers import Speaker
from schemas.intents import ENDS, StateName

OnState = Callable[[StateName, str, Sequence[int], datetime | None, str | None], None]
"""Called with the new state of intents at a peer, its time (None: now) and the reason."""


@dataclass(slots=True)
class CommandInFlight:
    """A command in flight, or one whose UPDATE has not been seen yet."""

    number: int | None
    """The number of the intent that it announces; None: it withdraws."""
    since: datetime
    """When it was given: UPDATEs sent earlier are not its result."""
    is_done: bool = False
    """Whether ExaBGP has answered."""
    is_sent: bool = False
    """Whether ExaBGP has sent the UPDATE."""
    is_refused: bool = False
    """Whether that answer was `error`."""
    deadline: float = 0.0


@dataclass(slots=True)
class AdjRibOut:
    """What a peer is sent: as ExaBGP has it (RFC 4271 3.2), and as the book wants it."""

    speaker: Speaker
    book: Book
    on_state: OnState
    instance: int | None = None
    """Which ExaBGP has the peer; None while unknown."""
    is_up: bool = False
    families: frozenset[str] | None = None
    """Those that the peer has offered in its OPEN, or has negotiated; None while unknown."""
    is_new: bool = False
    """Whether its ExaBGP is another one than before, which has been told nothing yet."""
    acknowledged: dict[str, int | None] = field(default_factory=dict)
    """By NLRI, the intent whose command ExaBGP has answered with `done`; None: its withdrawal."""
    in_flight: dict[str, CommandInFlight] = field(default_factory=dict)
    """By NLRI, the one command at a time that is not finished yet."""
    dirty: dict[str, None] = field(default_factory=dict)
    """NLRI that may differ from what is wanted, in the order of discovery."""
    stray: set[str] = field(default_factory=set)
    """NLRI that were sent but are not wanted, or withdrawn but are wanted."""
    sent: dict[str, datetime] = field(default_factory=dict)
    """When the current routes of the peer were sent, as far as observed."""
    mismatches: dict[str, float] = field(default_factory=dict)
    """NLRI whose last UPDATE is not what is wanted, and since when we know it."""
    tries: dict[str, int] = field(default_factory=dict)
    """How often in a row an UPDATE was not reported in time."""
    refusals: dict[str, int] = field(default_factory=dict)
    """How often in a row ExaBGP refused a command."""

    @property
    def wanted(self) -> dict[str, int]:
        """By NLRI, the intent that is wanted at the peer."""
        return self.book.wanted.get(self.speaker.address, {})

    @property
    def unwanted(self) -> dict[str, int]:
        """By NLRI, the intent that is to be withdrawn from the peer."""
        return self.book.unwanted.get(self.speaker.address, {})

    def note(self, state: StateName, numbers: Sequence[int], ts: datetime | None, reason: str | None) -> None:
        """Report a new state of those intents that have not ended at this peer: a late report has no effect."""
        address = self.speaker.address
        of = [one for one in numbers if self.book.entries[one].peers.get(address, "withdrawn") not in ENDS]
        if of:
            self.on_state(state, address, of, ts, reason)

    def accepted(self, numbers: Sequence[int], ts: datetime | None) -> None:
        """Report that ExaBGP has accepted intents, or sent them, with the policies that were applied."""
        by_rules: dict[tuple[str, ...], list[int]] = {}
        for number in numbers:
            entry = self.book.entries[number]
            if entry.peers.get(self.speaker.address) in ("pending", "failed"):
                by_rules.setdefault(towards(entry.announcement, self.speaker).rules, []).append(number)
        for rules, alike in by_rules.items():
            self.note("accepted", alike, ts, f"by policy: {', '.join(rules)}" if rules else None)

    def failed(self, numbers: Sequence[int], why: str) -> None:
        """Report, once, that intents cannot be announced to the peer for now."""
        address = self.speaker.address
        latest = {number: self.book.entries[number].latest(address) for number in numbers}
        self.note("failed", [number for number, last in latest.items() if last != ("failed", why)], None, why)

    def carries(self, number: int | None) -> bool:
        """Whether the peer's session is up and has the family of an intent; if its families are unknown, it has all."""
        entry = None if number is None else self.book.entries.get(number)
        return self.is_up and (entry is None or self.lacks(entry.announcement.family) is None)

    def lacks(self, family: str) -> str | None:
        """Why nothing of a family is sent in the peer's session; None if it is, or there is no session."""
        if not self.is_up or self.families is None or family in self.families:
            return None
        return f"its session has not negotiated {family}; it will be sent in a session that has"

    def not_carried(self, numbers: Sequence[int]) -> None:
        """Report as failed those of these intents whose family the peer's session has not negotiated."""
        by_reason: dict[str, list[int]] = {}
        for number in numbers:
            if why := self.lacks(self.book.entries[number].announcement.family):
                by_reason.setdefault(why, []).append(number)
        for why, alike in by_reason.items():
            self.failed(alike, why)

    def withdrawn(self, nlris: Sequence[str], ts: datetime | None, why: str | None) -> None:
        """Report as withdrawn those intents for these NLRI that were to be withdrawn."""
        unwanted = self.unwanted
        numbers = [unwanted[nlri] for nlri in nlris if nlri in unwanted]
        if numbers:
            self.note("withdrawn", numbers, ts, why)

    def finish(self, nlri: str) -> None:
        """Mark it as no longer in flight: pending changes may be sent."""
        command = self.in_flight.pop(nlri)
        if command.is_sent or not self.is_up:
            self.tries.pop(nlri, None)
        is_unfinished = command.is_refused or (nlri in self.unwanted and command.number is not None)
        if is_unfinished or self.wanted.get(nlri) != self.acknowledged.get(nlri):
            self.dirty[nlri] = None
