"""Which part of the code looks into which: read from its imports, and drawn."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

Arrows = Mapping[str, frozenset[str]]
"""Each room, and the rooms that its modules import from."""


class Room(NamedTuple):
    """A package by itself, or a folder or module that stands directly in a package that is divided."""

    name: str
    """Dotted: `collector.spool`."""
    is_folder: bool
    about: str
    """The first paragraph of its docstring."""
    imports: frozenset[str]
    """Names of the other rooms that it imports from."""


def read_rooms(root: Path, whole: Iterable[str], divided: Iterable[str]) -> list[Room]:
    """The rooms of a checkout, those that import nothing first.

    Args:
        root: the checkout.
        whole: packages that are one room each.
        divided: packages in which each folder and each module is a room.
    """
    places = {name: root / name for name in whole}
    for package in divided:
        for path in sorted((root / package).iterdir()):
            if (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem != "__init__"):
                places[f"{package}.{path.stem}"] = path
    rooms = {name: _read(name, path, frozenset(places)) for name, path in places.items()}
    heights = levels({name: room.imports for name, room in rooms.items()})
    return sorted(rooms.values(), key=lambda room: (heights[room.name], room.name))


def _read(name: str, path: Path, names: frozenset[str]) -> Room:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = {_room_of(module, names) for file in files for module in _imported(ast.parse(file.read_text()))}
    first = path / "__init__.py" if path.is_dir() else path
    about = (ast.get_docstring(ast.parse(first.read_text())) or "").split("\n\n")[0].replace("\n", " ")
    return Room(name, path.is_dir(), about, frozenset(other for other in found if other and other != name))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room_of(module: str, names: frozenset[str]) -> str | None:
    parts = module.split(".")
    return next((room for room in (".".join(parts[:2]), parts[0]) if room in names), None)


def levels(arrows: Arrows) -> dict[str, int]:
    """How high each room stands: one above the highest that it looks into; 0 for those that look into none.

    Raises:
        ValueError: rooms look into each other in a circle.
    """
    found: dict[str, int] = {}

    def level(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f"a circle of imports: {' -> '.join((*above, name))}")
        if name not in found:
            found[name] = max((level(other, (*above, name)) + 1 for other in arrows[name]), default=0)
        return found[name]

    for name in arrows:
        level(name, ())
    return found


def shortest(arrows: Arrows) -> dict[str, frozenset[str]]:
    """The same without the arrows that follow from others: who looks into `query` may be taken to look into `store`."""
    reach: dict[str, frozenset[str]] = {}
    heights = levels(arrows)
    for name in sorted(arrows, key=heights.__getitem__):
        reach[name] = arrows[name].union(*(reach[other] for other in arrows[name]))
    return {
        name: frozenset(other for other in others if not any(other in reach[third] for third in others))
        for name, others in arrows.items()
    }


_WIDTH, _HEIGHT, _GAP, _ROW, _MARGIN = 104, 34, 22, 78, 8
"""Of a box, between two boxes, from row to row, and around the picture; in pixels."""
_LANE = 14
"""The width of what an arrow takes where it passes a row."""

_Node = tuple[str, str | None]
"""A box, or the point where the arrow from the first to the second passes a row; apart by the row they are in."""


def draw(rooms: list[Room]) -> str:
    """An SVG picture: each room a box that stands above all that it looks into.

    Its colours are those of the page (`currentColor` and the classes of `custom.css`).
    """
    arrows = shortest({room.name: room.imports for room in rooms})
    heights = levels(arrows)
    rows = _rows(arrows, heights)
    wide = max(sum(map(_width, row)) + _GAP * (len(row) - 1) for row in rows) + 2 * _MARGIN
    high = len(rows) * _ROW - (_ROW - _HEIGHT) + 2 * _MARGIN
    centres = {(level, node): x for level, row in enumerate(rows) for node, x in _spread(row, wide)}
    tops = [_MARGIN + (len(rows) - 1 - level) * _ROW for level in range(len(rows))]
    parts = [
        f'<svg class="rooms" viewBox="0 0 {wide} {high}" role="img" aria-label="Which part imports which">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for name, others in sorted(arrows.items()):
        for other in sorted(others):
            points = [(centres[heights[name], (name, None)], tops[heights[name]] + _HEIGHT)]
            for level in range(heights[name] - 1, heights[other], -1):
                x = centres[level, (name, other)]
                points += [(x, tops[level]), (x, tops[level] + _HEIGHT)]
            points.append((centres[heights[other], (other, None)], tops[heights[other]] - 1))
            parts.append(f'<path class="arrow" d="{_curve(points)}"/>')
    for room in rooms:
        x, y = centres[heights[room.name], (room.name, None)], tops[heights[room.name]]
        parts.append(_box(room, x, y))
    return "\n".join([*parts, "</svg>"])


def _rows(arrows: Arrows, heights: Mapping[str, int]) -> list[list[_Node]]:
    """What stands in each row from the lowest on, in an order in which few arrows cross."""
    rows: list[list[_Node]] = [[] for _ in range(max(heights.values()) + 1)]
    joined: dict[tuple[int, _Node], list[tuple[int, _Node]]] = {}
    for name in arrows:
        rows[heights[name]].append((name, None))
    for name, others in sorted(arrows.items()):
        for other in sorted(others):
            last: tuple[int, _Node] = (heights[name], (name, None))
            for level in range(heights[name] - 1, heights[other] - 1, -1):
                node = (other, None) if level == heights[other] else (name, other)
                if node[1]:
                    rows[level].append(node)
                joined.setdefault(last, []).append((level, node))
                joined.setdefault((level, node), []).append(last)
                last = (level, node)
    for turn in range(24):
        downwards = turn % 2
        for level in range(len(rows))[:: -1 if downwards else 1]:
            beside = level + (1 if downwards else -1)
            if not 0 <= beside < len(rows):
                continue
            places = {node: (place + 0.5) / len(rows[beside]) for place, node in enumerate(rows[beside])}
            own = {node: (place + 0.5) / len(rows[level]) for place, node in enumerate(rows[level])}

            near = {
                node: [places[other] for at, other in joined.get((level, node), ()) if at == beside]
                for node in rows[level]
            }
            middle = {node: sum(near[node]) / len(near[node]) if near[node] else own[node] for node in rows[level]}
            rows[level].sort(key=middle.__getitem__)
    return rows


def _width(node: _Node) -> int:
    return _LANE if node[1] else _WIDTH


def _spread(row: list[_Node], wide: int) -> Iterator[tuple[_Node, float]]:
    """The middle of each node of a row, the row in the middle of the picture."""
    gap = min(4.0 * _GAP, (wide - 2 * _MARGIN - sum(map(_width, row))) / max(1, len(row) - 1))
    left = (wide - sum(map(_width, row)) - gap * (len(row) - 1)) / 2
    for node in row:
        yield node, round(left + _width(node) / 2, 1)
        left += _width(node) + gap


def _curve(points: list[tuple[float, int]]) -> str:
    path = f"M{points[0][0]} {points[0][1]}"
    for (x, y), (to_x, to_y) in pairwise(points):
        bend = (to_y - y) / 2
        path += f" C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
    return path


def _box(room: Room, x: float, y: int) -> str:
    kind = "folder" if room.is_folder else "module"
    label = room.name.rpartition(".")[2] + ("/" if room.is_folder else "")
    return (
        f'<g class="{kind}"><title>{escape(room.about)}</title>'
        f'<rect x="{x - _WIDTH / 2}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5"/>'
        f'<text x="{x}" y="{y + _HEIGHT / 2 + 4}" text-anchor="middle">{escape(label)}</text></g>'
    )


def table(rooms: list[Room]) -> str:
    """The rooms from the highest to the lowest, as a Markdown table: what each says of itself."""
    lines = ["| part | what it is |", "| --- | --- |"]
    for room in reversed(rooms):
        name = room.name.replace(".", "/") + ("/" if room.is_folder else ".py")
        lines.append(f"| `{name}` | {room.about.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)
