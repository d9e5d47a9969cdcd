"""The routes of a prefix in a time range: their paths at its start, and each change since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from bgpledger import Archive, Filter, HistoryEntry, PrefixTimeline

MOST_CHANGES = 2000
"""How many of the newest changes are shown: nobody could follow more on one page."""
_FIRST_LOOK = 200
_READ_SECONDS = 0.8
_FEW = 3
_TICK = timedelta(milliseconds=1)
_EMPTY = timedelta(hours=1)
"""The length of the time range if nothing happened."""
_HOPS = re.compile(r"[{(\[][^})\]]*[})\]]|[^\s]+")

Path = tuple[str, ...]
"""AS numbers, the peer's own first; an AS_SET (RFC 4271) or confederation segment is one item, in its brackets."""


class GraphSpeaker(NamedTuple):
    """One route of one peer, which may have several: with ADD-PATH (RFC 7911), in VRFs, or to several collectors."""

    peer: str
    asn: int
    route: str = ""
    """What distinguishes it from the peer's other routes; empty if there are none."""

    @property
    def label(self) -> str:
        """Its label in pictures."""
        return f"{self.peer} {self.route}".rstrip()


class StoryChange(NamedTuple):
    """A change of a route."""

    ts: datetime
    speaker: GraphSpeaker
    event: str
    """`announce`, `withdraw`, `session_end` or `gap`."""
    path: Path | None
    """The path of the route from then on; None: there is no route. A gap changes nothing, as what it hides is
    unknown."""
    says: str
    """The AS path as received, or the reason."""


@dataclass
class Story:
    """The routes of a prefix over a time range."""

    prefix: str
    start: datetime
    end: datetime
    initial: dict[GraphSpeaker, Path] = field(default_factory=dict)
    changes: list[StoryChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def at(self, moment: datetime) -> dict[GraphSpeaker, Path]:
        """The path of each route at a given time, including changes at that very time."""
        return _behind(self.initial, takewhile(lambda change: change.ts <= moment, self.changes))

    @property
    def events(self) -> list[tuple[StoryChange, str]]:
        """The changes with the names of their events; `change` is an announcement that changed the path of a route."""
        named, now = [], dict(self.initial)
        for change in self.changes:
            has_changed = change.path is not None and now.get(change.speaker, change.path) != change.path
            named.append((change, "change" if has_changed else change.event))
            now = _behind(now, [change])
        return named

    @property
    def speakers(self) -> list[GraphSpeaker]:
        """All speakers that have or had a route, in order of peer names."""
        return sorted({speaker for speaker, _ in self.paths})

    @property
    def paths(self) -> list[tuple[GraphSpeaker, Path]]:
        """All distinct paths of speakers' routes, in the order of their first use."""
        ways = [*self.initial.items(), *((change.speaker, change.path) for change in self.changes if change.path)]
        return list(dict.fromkeys(ways))


def hops_of(as_path: str) -> Path:
    """The ASes of a printed path, without repetitions by prepending."""
    hops: list[str] = []
    for hop in _HOPS.findall(as_path):
        if not hops or hops[-1] != hop:
            hops.append(hop)
    return tuple(hops)


async def tell(archive: Archive, prefix: str, filters: Filter) -> Story:
    """The story of a prefix.

    The paths at its start come from earlier announcements, read backwards: a query for the routes at that time would
    read everything ever said about the prefix.

    Args:
        archive: the archive to query.
        prefix: the prefix, or an address.
        filters: whose routes, and the time range; without a start, that of the newest entries.

    Raises:
        UsageError: the query makes no sense.
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
    initial, shown = _behind(first, changes[:cut]), changes[cut:]
    known = {speaker.peer for speaker in initial} | {change.speaker.peer for change in shown if change.event != "gap"}
    strangers = {change.speaker.peer for change in shown if change.speaker.peer not in known}
    if strangers:
        notes.append(_lost(sorted(strangers)))
    return Story(prefix, start, end, initial, [one for one in shown if one.speaker.peer in known], notes)


def _lost(peers: Sequence[str]) -> str:
    """A note about the gaps of peers that had no route, as far as is known."""
    who = ", ".join(peers[:_FEW]) + (f" and {len(peers) - _FEW} more" if len(peers) > _FEW else "")
    return f"UPDATEs of {who} were lost in this time: whether there was a route in them is not known"


async def _standing(archive: Archive, prefix: str, whose: Filter, found: PrefixTimeline) -> Sequence[HistoryEntry]:
    """The announcements of the routes that existed where `found` begins."""
    if found.since > found.start:
        moment = replace(whose, start=found.since, end=found.since + _TICK)
        found = await archive.timeline(prefix, moment, seconds=_READ_SECONDS)
    return [entry for entry in found.standing if entry.as_path is not None]


def _behind(standing: Mapping[GraphSpeaker, Path], changes: Iterable[StoryChange]) -> dict[GraphSpeaker, Path]:
    """The path of each route after some changes."""
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


def _speaker(entry: HistoryEntry, *, several: bool) -> GraphSpeaker:
    """Whose route an entry is about; with several collectors, a peer may have a session with each."""
    parts = (entry.collector if several else None, entry.rd, None if entry.path_id is None else f"path {entry.path_id}")
    return GraphSpeaker(entry.peer.name, entry.peer.asn, " ".join(filter(None, parts)))
