"""Our own announcements, drawn like those of peers: a lane for each peer that was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from collector.http.pages.lanes import Scale
from schemas.announcements import Announcement, RouteAnnouncement
from schemas.extended import extended_words
from schemas.intents import ENDS, Intent


class OurMark(NamedTuple):
    """An announcement or withdrawal that we sent to a peer."""

    kind: Literal["announce", "withdraw"]
    ts: datetime
    intent: Intent
    state: str


class OurBar(NamedTuple):
    """A time between an announcement to a peer and its withdrawal."""

    start: datetime
    end: datetime
    intent: Intent


class OurLane(NamedTuple):
    """What one peer was sent."""

    peer: str
    bars: Sequence[OurBar]
    marks: Sequence[OurMark]


def our_lanes(intents: Sequence[Intent], scale: Scale) -> list[OurLane]:
    """The lanes of a prefix's intents, within a time range."""
    lanes = []
    for peer in sorted({peer for intent in intents for peer in intent.peers}):
        marks = [mark for intent in intents for mark in _marks(intent, peer)]
        bars = [bar for intent in intents for bar in _bars(intent, peer, scale)]
        shown = [mark for mark in marks if scale.start <= mark.ts < scale.end]
        if bars or shown:
            lanes.append(OurLane(peer, bars, shown))
    return lanes


def times_of(intents: Iterable[Intent]) -> list[datetime]:
    """The times of their states."""
    return [state.ts for intent in intents for state in intent.states]


def in_words(announcement: Announcement) -> str:
    """The attributes of an announcement, as text."""
    if not isinstance(announcement, RouteAnnouncement):
        return announcement.nlri
    words = [f"next hop {announcement.next_hop}"]
    words += [f"{name} {value}" for name in ("med", "local_pref") if (value := getattr(announcement, name)) is not None]
    if announcement.as_path:
        words.append(f"path {' '.join(map(str, announcement.as_path))}")
    if announcement.prepend:
        words.append(f"prepended {announcement.prepend} times")
    communities = (
        *announcement.communities,
        *announcement.large_communities,
        *(extended_words(one.removeprefix("0x"), "") or one for one in announcement.extended_communities),
    )
    return ", ".join((*words, *communities))


def _marks(intent: Intent, peer: str) -> Iterator[OurMark]:
    for one in intent.states:
        if one.peer == peer and one.state == "sent":
            yield OurMark("announce", one.ts, intent, one.state)
        elif one.peer == peer and (one.state in ENDS or one.state == "failed"):
            yield OurMark("withdraw", one.ts, intent, one.state)


def _bars(intent: Intent, peer: str, scale: Scale) -> Iterator[OurBar]:
    begun: datetime | None = None
    for mark in (*_marks(intent, peer), None):
        end = mark.ts if mark else scale.end
        if begun is not None and (mark is None or mark.kind == "withdraw"):
            if begun < scale.end and end > scale.start:
                yield OurBar(max(begun, scale.start), min(end, scale.end), intent)
            begun = None
        elif mark is not None and mark.kind == "announce" and begun is None:
            begun = mark.ts
