"""The picture of a story: nodes that stay, and for each path of a route a line that appears and disappears."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from collector.http.graph.layout import GraphLayout, Node, lay_out
from collector.http.graph.story import GraphSpeaker, Path, Story

COLOURS = 8
"""The number of colours; they repeat for further speakers, whose names are shown beside them."""
_GAP = 4.0
"""Pixels between parallel lines."""
_MOST = 22.0
"""The maximum width, in pixels, of all lines between two nodes."""


class Line(NamedTuple):
    """One path of one speaker's route."""

    number: int
    speaker: int
    """The speaker's number."""
    curve: str
    """SVG path data."""
    title: str
    stands: bool
    """Whether the route uses it at the time of the picture."""


class Picture(NamedTuple):
    """Everything that is drawn; the animation only needs the numbers of lines."""

    layout: GraphLayout
    lines: list[Line]
    speakers: list[GraphSpeaker]
    silent: set[GraphSpeaker]
    """The speakers without a route at that time."""
    used: set[str]
    """The ASes on the path of any route at that time."""
    origins: set[str]
    numbers: dict[tuple[GraphSpeaker, Path], int]


def draw(story: Story, moment: datetime) -> Picture:
    """The picture of a story at a given time."""
    speakers, ways, standing = story.speakers, story.paths, story.at(moment)
    layout = lay_out(speakers, ways)
    places = _Lanes(layout, ways)
    numbers = {way: number for number, way in enumerate(ways)}
    lines = [
        Line(
            number,
            speakers.index(speaker),
            places.curve(speaker, path),
            f"{speaker.label}: {' '.join(path)}",
            standing.get(speaker) == path,
        )
        for (speaker, path), number in numbers.items()
    ]
    return Picture(
        layout,
        lines,
        speakers,
        {speaker for speaker in speakers if speaker not in standing},
        {name for path in standing.values() for name in path},
        {path[-1] for _, path in ways if path},
        numbers,
    )


class _Lanes:
    """Parallel lines where the routes of several speakers connect the same nodes."""

    def __init__(self, layout: GraphLayout, ways: Sequence[tuple[GraphSpeaker, Path]]) -> None:
        self._layout = layout
        self._speakers: dict[tuple[str, str], list[GraphSpeaker]] = defaultdict(list)
        for speaker, path in ways:
            for step in pairwise((speaker.label, *path)):
                if speaker not in self._speakers[step]:
                    self._speakers[step].append(speaker)

    def curve(self, speaker: GraphSpeaker, path: Path) -> str:
        """One line from the speaker to the origin."""
        nodes = [self._layout.speakers[speaker], *(self._layout.ases[name] for name in path)]
        return " ".join(self._steps(speaker, nodes))

    def _steps(self, speaker: GraphSpeaker, nodes: Sequence[Node]) -> Iterator[str]:
        for one, other in pairwise(nodes):
            lanes = self._speakers[(one.name, other.name)]
            gap = min(_GAP, _MOST / len(lanes))
            aside = (lanes.index(speaker) - (len(lanes) - 1) / 2) * gap
            yield _step(one, other, aside)


def _step(one: Node, other: Node, aside: float) -> str:
    """From the side of one node to that of another; within a layer, around both."""
    if one.x < other.x:
        begin, end = one.x + one.width / 2, other.x - other.width / 2
        bend = (end - begin) / 2
        first, second = begin + bend, end - bend
    elif one.x > other.x:
        begin, end = one.x - one.width / 2, other.x + other.width / 2
        bend = (begin - end) / 2
        first, second = begin - bend, end + bend
    else:
        begin, end = one.x + one.width / 2, other.x + other.width / 2
        first = second = begin + 30
    y, to = one.y + aside, other.y + aside
    return f"M{begin:.1f} {y:.1f}C{first:.1f} {y:.1f} {second:.1f} {to:.1f} {end:.1f} {to:.1f}"
