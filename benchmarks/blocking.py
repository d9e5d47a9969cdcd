"""How long each question keeps the event loop to itself, where others ask at the same time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bgpledger import Answers, Archive
from collector.query.filters import Filter


async def longest_blocks(uri: str, begin: datetime, prefix: str) -> dict[str, float]:
    """Seconds of CPU that each question has taken at once, at most; each is asked once before, to be imported.

    Args:
        uri: the store, filled by `benchmarks.asking`.
        begin: when the changes behind its whole table began.
        prefix: one that the table has.
    """
    found = {}
    async with Archive.open(uri) as archive:
        for name, ask in _questions(archive, begin, prefix).items():
            await _first(ask())
            found[name] = await _longest(ask())
            sys.stderr.write(f"  {name}: {found[name] * 1000:.1f} ms\n")
    return found


def _questions(archive: Archive, begin: datetime, prefix: str) -> dict[str, Callable[[], Answers[Any]]]:
    early, later = begin + timedelta(minutes=30), begin + timedelta(minutes=90)
    hour = Filter(start=early, end=later)
    return {
        "history": lambda: archive.history(prefix),
        "lookup": lambda: archive.lookup(prefix.partition("/")[0], at=later),
        "peers": archive.peers,
        "rib": lambda: archive.rib(at=later),
        "rib_newest": lambda: archive.rib(at=later, limit=10),
        "diff": lambda: archive.diff(early, later),
        "search": lambda: archive.search(filters=hour),
        "top": lambda: archive.top("prefixes"),
    }


async def _first(answers: Answers[Any]) -> None:
    async with answers:
        await anext(answers, None)


async def _longest(answers: Answers[Any]) -> float:
    """The most CPU that the loop's thread takes between two turns of another task that always wants one.

    By CPU, as on the clock a loaded machine takes turns away from us as well.
    """
    longest = 0.0

    async def take_turns() -> None:
        nonlocal longest
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    turns = asyncio.create_task(take_turns())
    await asyncio.sleep(0)
    async with answers:
        async for _ in answers:
            pass
    turns.cancel()
    return longest
