"""What happened to the routes of a prefix in a span of time: where they led at its start, and each change since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from bgpledger import Archive, Filter, HistoryEntry, PrefixTimeline

MOST_CHANGES = 2000
"""The newest so many are shown: a page of more cannot be followed by anybody."""
_FIRST_LOOK = 200
_READ_SECONDS = 0.8
_TICK = timedelta(milliseconds=1)
_EMPTY = timedelta(hours=1)
"""How long the span is of what nothing happened to."""
_HOPS = re.compile(r"[{(\[][^})\]]*[})\]]|[^\s]+")

Path = tuple[str, ...]
"""AS numbers, the peer's own first; a set (RFC 4271) or a confederation's segment is one, in its braces."""


class GraphSpeaker(NamedTuple):
    """One route of one peer: with ADD-PATH (RFC 7911), in several VRFs, or to several collectors, it may have more."""

    peer: str
    asn: int
    route: str = ""
    """What tells it from the peer's others; empty where there are none."""

    @property
    def label(self) -> str:
        """Its name in pictures."""
        return f"{self.peer} {self.route}".rstrip()


class StoryChange(NamedTuple):
    """One thing that happened."""

    ts: datetime
    speaker: GraphSpeaker
    event: str
    """`announce`, `withdraw`, `session_end` or `gap`."""
    path: Path | None
    """Where its route leads from then on; None: it has none. What a gap hides is not known: it changes nothing."""
    says: str
    """The AS path as it came, or the reason."""


@dataclass
class Story:
    """A prefix's routes over a span of time."""

    prefix: str
    start: datetime
    end: datetime
    initial: dict[GraphSpeaker, Path] = field(default_factory=dict)
    changes: list[StoryChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def at(self, moment: datetime) -> dict[GraphSpeaker, Path]:
        """Where each route led at a moment; what happened at that very moment has happened."""
        return _behind(self.initial, takewhile(lambda change: change.ts <= moment, self.changes))

    @property
    def speakers(self) -> list[GraphSpeaker]:
        """All that have or had a route, in the order of their peers' names."""
        return sorted({speaker for speaker, _ in self.paths})

    @property
    def paths(self) -> list[tuple[GraphSpeaker, Path]]:
        """Every way that a speaker's route has led, each once, in the order in which they came."""
        ways = [*self.initial.items(), *((change.speaker, change.path) for change in self.changes if change.path)]
        return list(dict.fromkeys(ways))


def hops_of(as_path: str) -> Path:
    """The ASes of a path as it is printed, each that is prepended once."""
    hops: list[str] = []
    for hop in _HOPS.findall(as_path):
        if not hops or hops[-1] != hop:
            hops.append(hop)
    return tuple(hops)


async def tell(archive: Archive, prefix: str, filters: Filter) -> Story:
    """The story of a prefix.

    Where its routes led at the begin comes of the announcements before it, read from the end on: to ask for the routes
    of then would read all that was ever said of the prefix.

    Args:
        archive: what is asked.
        prefix: the prefix, or an address.
        filters: whose routes, and in which span; without a start, in that of the newest entries.

    Raises:
        UsageError: the question cannot be meant.
        BgpledgerError: it cannot be answered.
    """
    whose = filters.of_peers_alone
    wanted = replace(whose, start=filters.start, end=filters.end)
    found = await archive.timeline(prefix, wanted, seconds=_READ_SECONDS)
    cut, notes = 0, []
    if filters.start is None:
        cut = max(len(found.entries) - _FIRST_LOOK, 0)
    elif found.since > found.start:
        notes.append("too much happened to be read at once: this begins with the newest of it")
    if len(found.entries) - cut > MOST_CHANGES:
        cut = len(found.entries) - MOST_CHANGES
        notes.append(f"more than {MOST_CHANGES:,} things happened: this begins with the newest so many")
    entries = found.entries[cut:]
    if notes:
        wanted = replace(wanted, start=entries[0].ts if entries else found.since)
    start, end = _span(wanted, entries)
    standing = await _standing(archive, prefix, whose, found)
    several = len({entry.collector for entry in (*standing, *found.entries)}) > 1
    changes = [_change(entry, several=several) for entry in found.entries]
    first = {_speaker(entry, several=several): hops_of(entry.as_path or "") for entry in standing}
    return Story(prefix, start, end, _behind(first, changes[:cut]), changes[cut:], notes)


async def _standing(archive: Archive, prefix: str, whose: Filter, found: PrefixTimeline) -> Sequence[HistoryEntry]:
    """The announcements of the routes that stood where what is found begins."""
    if found.since > found.start:
        moment = replace(whose, start=found.since, end=found.since + _TICK)
        found = await archive.timeline(prefix, moment, seconds=_READ_SECONDS)
    return [entry for entry in found.standing if entry.as_path is not None]


def _behind(standing: Mapping[GraphSpeaker, Path], changes: Iterable[StoryChange]) -> dict[GraphSpeaker, Path]:
    """Where each route leads behind some changes."""
    now = dict(standing)
    for change in changes:
        if change.path is not None:
            now[change.speaker] = change.path
        elif change.event != "gap":
            now.pop(change.speaker, None)
    return now


def _span(wanted: Filter, entries: Sequence[HistoryEntry]) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    first = entries[0].ts if entries else (wanted.end or now) - _EMPTY
    last = entries[-1].ts if entries else first + _EMPTY
    return wanted.start or first, max(wanted.end or last, wanted.start or first)


def _change(entry: HistoryEntry, *, several: bool) -> StoryChange:
    announced = entry.event == "announce" and entry.as_path is not None
    path = hops_of(entry.as_path or "") if announced else None
    says = entry.as_path if entry.event in ("announce", "withdraw") else entry.reason
    return StoryChange(entry.ts, _speaker(entry, several=several), entry.event, path, says or "")


def _speaker(said: HistoryEntry, *, several: bool) -> GraphSpeaker:
    """Whose route it is; where there are several collectors, a peer may speak to each."""
    parts = (said.collector if several else None, said.rd, None if said.path_id is None else f"path {said.path_id}")
    return GraphSpeaker(said.peer.name, said.peer.asn, " ".join(filter(None, parts)))
