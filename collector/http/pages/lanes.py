"""The time line of a prefix, with a lane for each peer; positions are percentages of the time range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from bgpledger import HistoryEntry, PrefixTimeline
from collector.query.filters import origins_of
from schemas.peer import Peer, name_order

Kind = Literal["announce", "change", "table", "withdraw", "session_end", "gap"]
_MOST_MARKS = 400
"""How many marks are drawn separately; if there are more, nearby marks of one kind are combined."""
_CELLS, _FEWEST_COLUMNS, _MOST_COLUMNS = 1500, 40, 240
_COLOURS = 6
_STEPS = (
    *(timedelta(milliseconds=n) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(timedelta(seconds=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(minutes=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=n) for n in (1, 2, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 2, 7, 14, 28, 91, 182, 365, 730, 3650)),
)
_TICKS = 8


class Scale(NamedTuple):
    """The time range of the line."""

    start: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        """The position of a time, in per cent."""
        return round((moment - self.start) / (self.end - self.start) * 100, 3)

    def ticks(self) -> Iterator[tuple[datetime, bool]]:
        """Round times on the line, and whether each is midnight."""
        span = self.end - self.start
        step = next((one for one in _STEPS if span / one <= _TICKS), span)
        epoch = datetime(1970, 1, 5, tzinfo=UTC)
        tick = epoch + -((epoch - self.start) // step) * step
        while tick < self.end:
            yield tick, step >= timedelta(days=1)
            tick += step


class Event(NamedTuple):
    """An entry, and its kind: an announcement that replaces another path is a change.

    `table` is a route in a RIB dump.
    """

    kind: Kind
    entry: HistoryEntry


class Mark(NamedTuple):
    """Events of one kind at one position; usually just one."""

    kind: Kind
    first: Event
    until: datetime
    """The time of the last of them."""
    times: int


class Bar(NamedTuple):
    """A time in which a route stood."""

    start: datetime
    end: datetime
    path: str
    colour: int
    """The number of its origin AS's colour."""


@dataclass
class Lane:
    """What one peer said."""

    peer: Peer
    events: list[Event] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    up: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When its session was up."""


@dataclass(frozen=True)
class Drawing:
    """A time line."""

    scale: Scale
    lanes: Sequence[Lane]
    events: int
    is_thinned: bool
    """Whether some marks are combined from several events."""
    origins: Sequence[tuple[int, int]]
    """The ASes that originated the prefix, and the number of each one's colour."""


def draw(found: PrefixTimeline, *, is_part: bool = False) -> Drawing:
    """The drawing of a prefix.

    Args:
        found: what happened to the prefix.
        is_part: whether it is combined with others on one line: then marks that would touch are always combined.
    """
    scale = Scale(found.start, found.end)
    colours = _colours([*found.standing, *found.entries])
    lanes: dict[str, Lane] = {}
    for session in found.sessions:
        lane = lanes.setdefault(session.peer.name, Lane(session.peer))
        lane.up.append((max(session.since, scale.start), min(session.until or scale.end, scale.end)))
    for name, events in _by_peer(found).items():
        lane = lanes.setdefault(name, Lane(events[0].entry.peer))
        lane.events = [event for event in events if event.entry.ts >= found.since]
        lane.bars = list(_bars(events, found, colours))
    ordered = [lanes[name] for name in sorted(lanes, key=name_order)]
    total = sum(len(lane.events) for lane in ordered)
    is_thinned = is_part or total > _MOST_MARKS
    columns = min(max(_CELLS // (3 * max(len(ordered), 1)), _FEWEST_COLUMNS), _MOST_COLUMNS)
    cell = (scale.end - scale.start) / columns
    for lane in ordered:
        lane.marks = list(_thinned(lane.events, scale, cell) if is_thinned else _each(lane.events))
        if is_thinned:
            lane.bars = [bar for bar in lane.bars if bar.end - bar.start > cell / 4]
    return Drawing(scale, ordered, total, is_thinned, sorted(colours.items(), key=lambda one: one[1]))


def _by_peer(found: PrefixTimeline) -> Mapping[str, list[Event]]:
    paths: dict[tuple[str, str | None, str | None, int | None], str | None] = {}
    events: dict[str, list[Event]] = {}
    for entry in (*found.standing, *found.entries):
        route = (entry.peer.name, entry.collector, entry.rd, entry.path_id)
        kind: Kind = "announce"
        if entry.event == "table":
            kind, paths[route] = "table", entry.as_path
        elif entry.event == "announce":
            kind = "change" if paths.get(route, entry.as_path) != entry.as_path else "announce"
            paths[route] = entry.as_path
        elif entry.event in ("withdraw", "session_end", "gap"):
            kind = entry.event
            if kind != "gap":
                paths.pop(route, None)
        events.setdefault(entry.peer.name, []).append(Event(kind, entry))
    return events


def _bars(events: Sequence[Event], found: PrefixTimeline, colours: Mapping[int, int]) -> Iterator[Bar]:
    """The bars of each route of a peer; an event of another of its routes (ADD-PATH) does not end a bar."""
    standing: dict[tuple[str | None, str | None, int | None], HistoryEntry] = {}

    def bar(announced: HistoryEntry, end: datetime) -> Bar:
        origins = origins_of(announced.as_path)
        path = announced.as_path or "empty path"
        return Bar(max(announced.ts, found.start), end, path, colours[origins[0]] if origins else 0)

    for kind, entry in events:
        if kind == "gap":
            continue
        route = (entry.collector, entry.rd, entry.path_id)
        if (before := standing.pop(route, None)) is not None:
            yield bar(before, entry.ts)
        if entry.event in ("announce", "table"):
            standing[route] = entry
    for before in standing.values():
        yield bar(before, found.until)


def _colours(entries: Iterable[HistoryEntry]) -> Mapping[int, int]:
    """A colour number for each origin, the most frequent first."""
    seen = Counter(asn for entry in entries for asn in origins_of(entry.as_path)[:1])
    return {asn: number % _COLOURS for number, (asn, _) in enumerate(seen.most_common())}


def _each(events: Iterable[Event]) -> Iterator[Mark]:
    return (Mark(event.kind, event, event.entry.ts, 1) for event in events)


def _thinned(events: Iterable[Event], scale: Scale, cell: timedelta) -> Iterator[Mark]:
    cells: dict[tuple[Kind, int], Mark] = {}
    for event in events:
        place = (event.kind, (event.entry.ts - scale.start) // cell)
        known = cells.get(place, Mark(event.kind, event, event.entry.ts, 0))
        cells[place] = known._replace(until=event.entry.ts, times=known.times + 1)
    return iter(cells.values())
