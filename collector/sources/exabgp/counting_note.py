"""The state of the line counters, which is saved with each acknowledgement of the spool.

Plain dataclasses: their attributes change with every line, and pydantic would look at each change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from schemas.stored import GapCause


@dataclass(slots=True)
class Counter:
    """ExaBGP's count of lines of one neighbour; peers of a range share one."""

    asn: int
    count: int
    ts: datetime
    line: int = -1
    """The number of its last line in the spool."""
    reloaded: int | None = None
    """The first reload since it began: behind that line its neighbour may have another count."""
    doubtful: bool = False
    """Whether its last line may be one of the neighbour's newest object."""


@dataclass(slots=True)
class Former:
    """An ExaBGP that has ended, as far as we know."""

    exabgp: int | None
    incarnation: str | None = None
    counters: dict[str, Counter] = field(default_factory=dict)
    before: dict[str, Counter] = field(default_factory=dict)


@dataclass(slots=True)
class Hole:
    """A time in which lines of anybody's are missing, for a known reason."""

    since: datetime
    until: datetime
    cause: GapCause
    line: int = -1
    """Ahead of this one they are."""


@dataclass(slots=True)
class Span:
    """Lines ahead of one that are lost, or may be, and of which each neighbour's counts tell its own."""

    line: int
    most: int
    """How many they are at most."""


@dataclass(slots=True)
class CountingNote:
    """All that has to be remembered over a restart."""

    exabgp: int | None = None
    """ExaBGP's process number."""
    incarnation: str | None = None
    """What tells it from another one with the same number."""
    drained: bool = False
    """Whether its receiver read its pipe to the end, or it said goodbye: nothing of its last words is lost."""
    unnamed: bool = False
    """Whether the receiver that reads now has said nothing yet, and began too late to know whose it is."""
    counters: dict[str, Counter] = field(default_factory=dict)
    """The newest of each neighbour, or range."""
    before: dict[str, Counter] = field(default_factory=dict)
    """The one that the neighbour's session began with, where that is not the newest."""
    former: Former | None = None
    died: int | None = None
    """The last line with which a receiver began whose predecessor had not read everything."""
    knows_all: bool = False
    """Whether every neighbour of this ExaBGP is in `counters`: version 0.1 forgot them when one of them was reset."""
    hole: Hole | None = None
    """The last one: what ExaBGP's counters miss around it, it has taken."""
    spans: list[Span] = field(default_factory=list)
    """Where lines may be lost, since this ExaBGP began; the oldest ones together."""
    reloads: int | None = None
    """How many there were, as our receiver said last."""
    reloaded: bool = False
    """Whether there was one since this ExaBGP began."""
