"""Compares the inventory, the sessions and the gaps to find what is missing, duplicated, or inconsistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bson import ObjectId

from collector.query.verify.inventory import CountedStream, Inventory, Tally
from collector.query.verify.reader import SessionCount
from schemas.documents import COUNTED_CAUSES
from schemas.keys import key_line
from schemas.status import Finding
from schemas.stored import SessionDocument


class GapClaim(NamedTuple):
    """What a gap says."""

    line: int
    """The first line after it."""
    peer: str | None
    lines: int | None
    cause: str


class Limits(NamedTuple):
    """Unix seconds: [retention] may have removed older documents; 0: none."""

    keepalives: int = 0
    updates: int = 0
    messages: int = 0
    sessions: int = 0
    rejects: int = 0

    @property
    def lines(self) -> int:
        """Older lines may have no document."""
        return max(self.keepalives, self.updates, self.messages, self.rejects)

    @property
    def uncounted(self) -> bool:
        """Whether lines may be gone that no tally counts."""
        return bool(self.messages or (self.sessions and self.lines))


@dataclass
class Claims:
    """What must agree with the inventory.

    Args:
        sessions: documents of sessions that began below the acknowledged position, in their state at that position.
        gaps: the gaps below that position.
        stored: lines that became documents, according to the spool's note.
        rejected: lines that became rejects, according to the spool's note.
        limits: the times before which documents may have expired.
    """

    sessions: Mapping[ObjectId, SessionDocument]
    gaps: Sequence[GapClaim]
    stored: int
    rejected: int
    limits: Limits


class Judgement:
    """What is wrong, and how many lines have expired.

    Args:
        inventory: what is in the database.
        claims: what must agree with it.
    """

    def __init__(self, inventory: Inventory, claims: Claims) -> None:
        self._inventory = inventory
        self._claims = claims
        self._limits = claims.limits
        self.expired = 0
        """Lines without a document that need none."""
        self._missing = 0
        """Lines without a document that need one."""
        self._gone: Counter[CountedStream] = Counter()
        """Documents that sessions count and that may have expired."""
        self._nowhere = 0
        """Lines lost in a damaged part of the spool."""

    def findings(self) -> Iterator[Finding]:
        """All inconsistencies."""
        for gap in self._claims.gaps:
            if gap.cause == "spool" and gap.lines:
                self._nowhere += gap.lines
                for line in range(gap.line - gap.lines, gap.line):
                    self._inventory.lines.add(line)
        self._inventory.times.settle()
        for run in self._inventory.doubled.present():
            yield Finding(what="double", lines=show(run), detail=_lines(run, "has more than one document"))
        yield from self._sessions()
        yield from self._lines()
        yield from self._counters()
        yield from self._sums()

    # --- sessions -----------------------------------------------------------------------------------------------

    def _sessions(self) -> Iterator[Finding]:
        refused = Counter(self._inventory.refused)
        for key, session in self._claims.sessions.items():
            yield from self._session(key, session, refused)
        for key, tally in self._inventory.tallies.items():
            began = int.from_bytes(key.binary[:4])
            if key not in self._claims.sessions and began >= self._limits.sessions:
                total = tally.updates + tally.keepalives
                yield Finding(
                    what="session",
                    session=str(key),
                    detail=f"{total} documents name a session that is not there",
                )

    def _session(self, key: ObjectId, session: SessionDocument, refused: Counter[str]) -> Iterator[Finding]:
        peer, began = session["peer"]["address"], int.from_bytes(key.binary[:4])
        tally, limits = self._inventory.tallies.get(key, Tally()), self._limits
        stream = self._inventory.stream(key_line(key), peer)
        counts: tuple[tuple[SessionCount, int, int], ...] = (
            ("updates", tally.updates, limits.updates),
            ("keepalives", tally.keepalives, max(limits.keepalives, limits.messages)),
        )
        for what, there, limit in counts:
            gone = session[what] - there
            forgiven = max(min(gone, refused[peer]), 0)
            refused[peer] -= forgiven
            gone -= forgiven
            if gone > 0 and began < limit:
                self._gone[stream] += gone
            elif gone:
                yield Finding(
                    what="tally",
                    peer=peer,
                    session=str(key),
                    detail=f"the session counts {session[what]} {what}, there are {there}",
                )

    # --- lines --------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[Finding]:
        """Lines without a document: too recent to be removed, or more than the tallies say are gone."""
        old, last = 0, 0
        for run in self._inventory.lines.missing(0, self._inventory.below):
            young = range(0)
            for part, may_be_old in self._inventory.times.split(run, self._limits.lines):
                if may_be_old:
                    old, last = old + len(part), part.stop
                elif young:
                    young = range(young.start, part.stop)
                else:
                    young = part
            if young:
                self._missing += len(young)
                yield Finding(what="missing", lines=show(young), detail=_lines(young, "has no document"))
        too_many = 0 if self._limits.uncounted else max(old - self._may_be_gone(), 0)
        self.expired = old - too_many
        self._missing += too_many
        if too_many:
            also = f"; {self.expired} others [retention] may have removed" if self.expired else ""
            detail = f"{too_many} of these lines have no document{also}"
            yield Finding(what="missing", lines=show(range(last)), detail=detail)

    def _may_be_gone(self) -> int:
        """The number of lines that [retention] may have removed, as far as the tallies tell."""
        rejects = max(self._claims.rejected - self._inventory.rejects, 0) if self._limits.rejects else 0
        confirming = self._inventory.opens.total() if self._limits.keepalives else 0
        return self._gone.total() + rejects + confirming

    # --- counters -----------------------------------------------------------------------------------------------

    def _counters(self) -> Iterator[Finding]:
        """ExaBGP counts from 1: a missing count is in a gap, or has expired.

        After a reload it counts from 1 again. Then there are at least as many lines with a count as with any higher
        one: if there are fewer, some are missing, whatever order they arrived in.
        """
        lost: Counter[CountedStream] = Counter()
        unknown: set[CountedStream] = set()
        for gap in self._claims.gaps:
            if gap.peer and gap.cause in COUNTED_CAUSES:
                stream = self._inventory.stream(gap.line, gap.peer)
                lost[stream] += gap.lines or 0
                if gap.lines is None:
                    unknown.add(stream)
        holes: Counter[CountedStream] = Counter()
        for (stream, _pid), sets in self._inventory.counts.items():
            holes[stream] += sum(len(run) for numbers in sets for run in numbers.missing(1, numbers.top + 1))
        for stream in sorted((holes.keys() | lost.keys()) - unknown):
            if self._can_be_counted(stream):
                yield from self._counter(stream, holes[stream], lost[stream])

    def _can_be_counted(self, stream: CountedStream) -> bool:
        """If messages expire, so do those that say which line came from which ExaBGP."""
        if not self._limits.messages:
            return True
        return stream.epoch > 0 and self._inventory.begins[stream.epoch - 1].second >= self._limits.messages

    def _counter(self, stream: CountedStream, holes: int, lost: int) -> Iterator[Finding]:
        gone = self._gone[stream] + self._missing
        if self._limits.keepalives:
            gone += self._inventory.opens[stream]
        if self._limits.rejects:
            gone += max(self._claims.rejected - self._inventory.rejects, 0)
        if holes > lost + gone:
            yield Finding(
                what="counter",
                peer=stream.name,
                detail=f"{holes - lost - gone} lines that ExaBGP counted{self._since(stream)} are nowhere, and no gap"
                " tells of them",
            )
        elif holes < lost and not self.expired + self._missing:
            yield Finding(
                what="gap",
                peer=stream.name,
                detail=f"{lost - holes} lines that ExaBGP counted{self._since(stream)} are there, though gaps tell"
                " that they are lost",
            )

    def _since(self, stream: CountedStream) -> str:
        return f" since line {self._inventory.begins[stream.epoch - 1].line}" if stream.epoch else ""

    # --- sums ---------------------------------------------------------------------------------------------------

    def _sums(self) -> Iterator[Finding]:
        stored, rejected, below = self._claims.stored, self._claims.rejected, self._inventory.below
        if stored + rejected + self._nowhere != below:
            yield Finding(
                what="sum", detail=f"{stored} lines stored and {rejected} rejected are not the {below} acknowledged"
            )
        rejects = self._inventory.rejects
        if rejects > rejected or (rejects < rejected and not self._limits.rejects):
            yield Finding(what="sum", detail=f"{rejected} lines were rejected, there are {rejects} rejects")


def show(run: range) -> str:
    """Line numbers as text: `17`, or `17-20`."""
    return str(run.start) if len(run) == 1 else f"{run.start}-{run.stop - 1}"


def _lines(run: range, predicate: str) -> str:
    return f"1 line {predicate}" if len(run) == 1 else f"{len(run)} lines: each {predicate}"
