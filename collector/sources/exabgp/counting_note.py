"""The state of the line counters, which is saved with each acknowledgement of the spool.

Plain dataclasses: their attributes change with every line, and pydantic would validate each change.
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
    """The first reload since it began: after that line its neighbour may have another count."""
    doubtful: bool = False
    """Whether its last line may belong to the neighbour's newest object."""


@dataclass(slots=True)
class Former:
    """An ExaBGP that has ended, as far as is known."""

    exabgp: int | None
    incarnation: str | None = None
    counters: dict[str, Counter] = field(default_factory=dict)
    before: dict[str, Counter] = field(default_factory=dict)


@dataclass(slots=True)
class Hole:
    """A time in which lines of any peer are missing, for a known reason."""

    since: datetime
    until: datetime
    cause: GapCause
    line: int = -1
    """They are missing before this line."""


@dataclass(slots=True)
class Span:
    """Lines before one that are, or may be, lost; each neighbour's counts show how many of its own."""

    line: int
    most: int
    """The maximum number of them."""


@dataclass(slots=True)
class CountingNote:
    """Everything that must be remembered over a restart."""

    exabgp: int | None = None
    """ExaBGP's process number."""
    incarnation: str | None = None
    """What distinguishes it from another process with the same number."""
    drained: bool = False
    """Whether its receiver read its pipe to the end, or it shut down properly: then none of its last lines are lost."""
    unnamed: bool = False
    """Whether the receiver that reads now has said nothing yet, and began too late to know whose it is."""
    counters: dict[str, Counter] = field(default_factory=dict)
    """The newest count of each neighbour, or range."""
    before: dict[str, Counter] = field(default_factory=dict)
    """The count with which the neighbour's session began, if that is not the newest."""
    former: Former | None = None
    died: int | None = None
    """The last line with which a receiver began whose predecessor had not read everything."""
    knows_all: bool = False
    """Whether every neighbour of this ExaBGP is in `counters`: version 0.1 forgot them when one of them was reset."""
    hole: Hole | None = None
    """The last hole, which explains what is missing in ExaBGP's counts around it."""
    spans: list[Span] = field(default_factory=list)
    """Where lines may be lost since this ExaBGP began; the oldest ones combined."""
    reloads: int | None = None
    """The number of reloads that our receiver last reported."""
    reloaded: bool = False
    """Whether there was a reload since this ExaBGP began."""
