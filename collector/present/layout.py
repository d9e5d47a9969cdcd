"""Lays out rows in columns as wide as needed; on a narrow terminal cells wrap, or the last columns get own lines.

In a pipe a row is one line. On a terminal no line is wider than the terminal, and nothing is cut off: long cells of
columns that may fold are wrapped. If even that does not fit, only the first columns are shown side by side, and the
rest of a row follows on extra lines, each value after its name.
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
"""The minimum width of a folded column."""
_INDENT = "    "
_NARROWEST = 20
"""The assumed width of a terminal that says it is narrower."""


class Elsewhere(StringIO):
    """The output for another process, with or without a terminal.

    Args:
        columns: the width of its terminal; None: it has none.
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
        """Return what was written since the last call."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def terminal_width(stream: TextIO) -> int | None:
    """The width of the terminal that a stream writes to, or COLUMNS if set; None if it is not a terminal."""
    if not stream.isatty():
        return None
    columns = stream.columns if isinstance(stream, Elsewhere) else None
    return max(columns or shutil.get_terminal_size().columns, _NARROWEST)


def bold(text: str, stream: TextIO) -> str:
    """A text in bold, on a terminal that supports it and unless NO_COLOR is set."""
    if isinstance(stream, Elsewhere):
        shown = stream.bold
    else:
        shown = not (os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb")
    return f"\x1b[1m{text}\x1b[0m" if shown and stream.isatty() else text


def text_width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # importing it takes 40 ms

    return cell_len(text)


class Layout(NamedTuple):
    """How the rows of one table are laid out."""

    of: Literal["columns", "records"]
    widths: Sequence[int]
    """The widths of the columns; of records, those of the first columns, which are side by side."""
    width: int | None
    """The width of the terminal."""

    @classmethod
    def fitting(cls, widths: Sequence[int], folds: Sequence[bool], width: int | None) -> Layout:
        """The layout that fits the terminal.

        Args:
            widths: the widths of the columns.
            folds: which columns may be narrower.
            width: the width of the terminal; None: a pipe.
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
        """The titles of the columns that are side by side, if any."""
        count = len(self.widths)
        return self._one_line(titles[:count], rights[:count]) if count else iter(())

    def lines(self, titles: Sequence[str], cells: Sequence[str], rights: Sequence[bool]) -> Iterator[str]:
        """One row."""
        count = len(self.widths)
        if count:
            yield from self._one_line(cells[:count], rights[:count])
        named = [f"{title} {cell}" for title, cell in zip(titles[count:], cells[count:], strict=True) if cell]
        yield from _filled(named, self.width or 0, _INDENT if count else "")

    def _one_line(self, cells: Sequence[str], rights: Sequence[bool]) -> Iterator[str]:
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
    """Widths with the remaining room shared evenly among the columns that want more."""
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
    """A text in lines of at most a width, broken between words if possible."""
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
    """A word, in parts if it is wider than a line."""
    piece = ""
    for letter in word if text_width(word) > width else ():
        if text_width(piece + letter) > width:
            yield piece
            piece = ""
        piece += letter
    yield piece or word


def _filled(named: Sequence[str], width: int, indent: str) -> Iterator[str]:
    """Named values, as many in a line as fit."""
    line = indent
    for one in named:
        longer = f"{line}{_GAP}{one}" if line != indent else f"{line}{one}"
        if text_width(longer) <= width:
            line = longer
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
