"""The positions of ASes in a picture: in layers, from the peers on the left to the origins on the right.

An AS keeps its position throughout a story: only lines appear and disappear.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

from collector.http.graph.story import GraphSpeaker, Path

COLUMN, ROW = 168, 46
"""Pixels between the centres of two layers, and of two nodes in one layer."""
WIDTH, HEIGHT = 92, 26
"""The size of a node, in pixels."""
SPEAKER_WIDTH = 176
_MARGIN = 16
_SWEEPS = 6

Name = str
_Links = Mapping[Name, set[Name]]


class Node(NamedTuple):
    """An AS, or one route of a peer; the position is that of its centre."""

    name: Name
    x: float
    y: float
    width: float


class GraphLayout(NamedTuple):
    """The nodes of a picture, and its size in pixels."""

    speakers: dict[GraphSpeaker, Node]
    ases: dict[Name, Node]
    width: float
    height: float


def lay_out(speakers: Sequence[GraphSpeaker], ways: Iterable[tuple[GraphSpeaker, Path]]) -> GraphLayout:
    """Positions for the speakers and all ASes on the paths of their routes.

    The layer of an AS is its longest distance to an origin, so that lines lead to the right wherever paths agree.
    Within a layer, nodes are near those that they are linked to, and otherwise in order of their names.
    """
    paths = list(ways)
    depth = _depths(path for _, path in paths)
    layers: dict[int, list[Name]] = defaultdict(list)
    for name in sorted(depth, key=_order):
        layers[depth[name]].append(name)
    of_speaker = {speaker.label: speaker for speaker in speakers}
    left = max(layers, default=-1) + 1
    layers[left] = list(of_speaker)
    _untangle(layers, _links(paths))
    return _place(layers, left, of_speaker)


def _depths(paths: Iterable[Path]) -> dict[Name, int]:
    depth: dict[Name, int] = {}
    for path in paths:
        for distance, name in enumerate(reversed(path)):
            depth[name] = max(depth.get(name, distance), distance)
    return depth


def _order(name: Name) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 32, name)


def _links(paths: Iterable[tuple[GraphSpeaker, Path]]) -> _Links:
    links: dict[Name, set[Name]] = defaultdict(set)
    for speaker, path in paths:
        nodes = (speaker.label, *path)
        for one, other in itertools.pairwise(nodes):
            links[one].add(other)
            links[other].add(one)
    return links


def _untangle(layers: dict[int, list[Name]], links: _Links) -> None:
    """Order each layer by the positions of its neighbours, alternately from both sides (barycentre method)."""
    numbers = sorted(layers)
    for sweep in range(_SWEEPS):
        for number in numbers if sweep % 2 else reversed(numbers):
            places = {
                name: (at + 0.5) / len(layers[other])
                for other in numbers
                if other != number
                for at, name in enumerate(layers[other])
            }
            layers[number].sort(key=lambda name: _mean([places[one] for one in links.get(name, ()) if one in places]))


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else 0.5  # because the order of a set is undefined


def _place(layers: Mapping[int, Sequence[Name]], left: int, of_speaker: Mapping[str, GraphSpeaker]) -> GraphLayout:
    height = max((len(names) for names in layers.values()), default=1) * ROW + 2 * _MARGIN
    first = _MARGIN + SPEAKER_WIDTH / 2
    begin = first + (SPEAKER_WIDTH - WIDTH) / 2
    speakers: dict[GraphSpeaker, Node] = {}
    ases: dict[Name, Node] = {}
    for number, names in layers.items():
        top = (height - len(names) * ROW) / 2 + ROW / 2
        for at, name in enumerate(names):
            y = top + at * ROW
            if number == left:
                speakers[of_speaker[name]] = Node(name, first, y, SPEAKER_WIDTH)
            else:
                ases[name] = Node(name, begin + (left - number) * COLUMN, y, WIDTH)
    return GraphLayout(speakers, ases, begin + left * COLUMN + WIDTH / 2 + _MARGIN, height)
