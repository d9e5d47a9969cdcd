"""Lays out rows in columns as wide as needed; on a narrow terminal cells wrap, or the last columns get own lines.

In a pipe a row is one line. On a terminal no line is wider than it is, and nothing is cut off: long cells of columns
that may fold go on in the next line. Where even that does not fit, the first columns stay, and what else a row has
follows it on lines of its own, each value behind its name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import zip_longest
from typing import Literal, NamedTuple, TextIO

_GAP = "  "
_FOLDED_WIDTH = 20
"""No column is folded to less."""
_INDENT = "    "
_NARROWEST = 20
"""A terminal that says it is narrower is taken for one of this width."""


class Elsewhere(StringIO):
    """What is written for another process, which has a terminal, or none.

    Args:
        columns: those of its terminal; None: there is none.
        bold: whether it shows bold text.
    """

    def __init__(self, columns: int | None = None, *, bold: bool = False) -> None:
        super().__init__()
        self.columns = columns
        self.bold = bold

    def isatty(self) -> bool:
        """Whether there is a terminal."""
        return self.columns is not None

    def take(self) -> str:
        """What has been written since this was called before."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream goes to, or what COLUMNS says; None when it goes to none."""
    if not stream.isatty():
        return None
    columns = stream.columns if isinstance(stream, Elsewhere) else None
    return max(columns or shutil.get_terminal_size().columns, _NARROWEST)


def bold(text: str, stream: TextIO) -> str:
    """A text in bold on a terminal that can do that, and where NO_COLOR does not forbid it."""
    if isinstance(stream, Elsewhere):
        shown = stream.bold
    else:
        shown = not (os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb")
    return f"\x1b[1m{text}\x1b[0m" if shown and stream.isatty() else text


def text_width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 40 ms

    return cell_len(text)


class Layout(NamedTuple):
    """How the rows of one table are laid out."""

    of: Literal["columns", "records"]
    widths: Sequence[int]
    """Of the columns; of records those of the first ones, which stand beside each other."""
    width: int | None
    """Of the terminal."""

    @classmethod
    def fitting(cls, widths: Sequence[int], folds: Sequence[bool], width: int | None) -> Layout:
        """The layout that a terminal has room for.

        Args:
            widths: those of the columns.
            folds: which of them may be narrower.
            width: of the terminal; None is a pipe.
        """
        if width is None or _together(widths) <= width:
            return cls("columns", widths, width)
        least = [min(one, _FOLDED_WIDTH) if fold else one for one, fold in zip(widths, folds, strict=True)]
        if _together(least) <= width:
            return cls("columns", _widened(least, widths, width - _together(least)), width)
        first = 0
        while _together(widths[: first + 1]) <= width:
            first += 1
        return cls("records", widths[:first], width)

    def header(self, titles: Sequence[str], rights: Sequence[bool]) -> Iterator[str]:
        """The titles of the columns that stand beside each other, if there are any."""
        count = len(self.widths)
        return self._beside(titles[:count], rights[:count]) if count else iter(())

    def lines(self, titles: Sequence[str], cells: Sequence[str], rights: Sequence[bool]) -> Iterator[str]:
        """One row."""
        count = len(self.widths)
        if count:
            yield from self._beside(cells[:count], rights[:count])
        named = [f"{title} {cell}" for title, cell in zip(titles[count:], cells[count:], strict=True) if cell]
        yield from _filled(named, self.width or 0, _INDENT if count else "")

    def _beside(self, cells: Sequence[str], rights: Sequence[bool]) -> Iterator[str]:
        if self.width is None:
            folded = [[cell] for cell in cells]
        else:
            folded = [_folded(cell, width) for cell, width in zip(cells, self.widths, strict=True)]
        for line in zip_longest(*folded, fillvalue=""):
            texts = zip(line, self.widths, rights, strict=True)
            yield _GAP.join(_justified(text, width, right=right) for text, width, right in texts).rstrip()


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _widened(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Widths with the room that is left shared out evenly among those that want more."""
    widths = list(least)
    while room and (hungry := [at for at, one in enumerate(wanted) if widths[at] < one]):
        share = max(room // len(hungry), 1)
        for at in hungry:
            more = min(share, wanted[at] - widths[at], room)
            widths[at] += more
            room -= more
    return widths


def _justified(text: str, width: int, *, right: bool) -> str:
    padding = " " * (width - text_width(text))
    return padding + text if right else text + padding


def _folded(text: str, width: int) -> list[str]:
    """A text in lines of at most a width, broken between words where that can be."""
    if text_width(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        for piece in _pieces(word, width):
            if not lines[-1]:
                lines[-1] = piece
            elif text_width(lines[-1]) + 1 + text_width(piece) <= width:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
    return lines


def _pieces(word: str, width: int) -> Iterator[str]:
    """A word, in parts when it is wider than a line."""
    piece = ""
    for letter in word if text_width(word) > width else ():
        if text_width(piece + letter) > width:
            yield piece
            piece = ""
        piece += letter
    yield piece or word


def _filled(named: Sequence[str], width: int, indent: str) -> Iterator[str]:
    """Named values, as many in a line as it has room for."""
    line = indent
    for one in named:
        beside = f"{line}{_GAP}{one}" if line != indent else f"{line}{one}"
        if text_width(beside) <= width:
            line = beside
            continue
        if line != indent:
            yield line
        first, *more = _folded(one, width - len(indent) - len(_INDENT))
        line = f"{indent}{first}"
        for part in more:
            yield line
            line = f"{indent}{_INDENT}{part}"
    if line != indent:
        yield line
