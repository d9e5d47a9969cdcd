"""What the line formats of other programs have in common: one line for each route, with fields separated by bars."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TextIO, cast

from pydantic import BaseModel

from collector.query.batch import Batch
from schemas.query import OWN_EVENTS, HistoryEntry


def joined(*cells: object) -> str:
    """Cells joined to a line."""
    return "|".join(map(str, cells))


async def write_entries(answers: AsyncIterator[BaseModel], line: Callable[[HistoryEntry], str], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail` that other programs support: no gaps, only prefixes.

    Args:
        answers: the entries.
        line: makes the line of an entry, without its end.
        stream: the output.

    Returns:
        The number of lines.
    """
    count = 0
    async for answer in answers:
        entry = cast("HistoryEntry", answer)
        if entry.event not in ("gap", *OWN_EVENTS) and entry.object is None:
            stream.write(f"{line(entry)}\n")
            count += 1
    return count


async def write_batches(batches: AsyncIterator[Batch], lines: Callable[[Batch], Iterable[str]], stream: TextIO) -> int:
    """Write routes of `rib` or `lookup` from their stored form, without those that a gap hides.

    Args:
        batches: the routes.
        lines: makes the lines of a batch, with their ends.
        stream: the output.

    Returns:
        The number of lines.
    """
    count = 0
    async for batch in batches:
        found = [] if batch.hidden else list(lines(batch))
        stream.writelines(found)
        count += len(found)
    return count
