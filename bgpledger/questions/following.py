"""Queries that follow what is stored, line by line: from now on, or from where the reader stopped."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from bgpledger.cursors import LineMark
from bgpledger.questions.question import Context, Question
from collector.query.filters import EVERYTHING, Filter
from collector.store.mongo import Store

if TYPE_CHECKING:
    from collector.query.follow import FollowedLine


@dataclass(eq=False, repr=False)
class FollowQuestion(Question["FollowedLine"]):
    """The entries of `tail`, endlessly, line by line: those of each instance in order of its lines.

    Args:
        filters: which.
        after: continues after this mark; entries returned before may come again, and the mark knows which.
        pulse: called after each look at the store.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    after: LineMark | None = None
    pulse: Callable[[], None] | None = None

    async def give(self, context: Context) -> AsyncGenerator[FollowedLine, None]:
        """The lines."""
        from collector.query.follow import follow

        start = self.filters.start
        if self.after is not None:
            start = await _start(context.store, self.after) or start
        async for line in follow(context.store, replace(self.filters, start=start), self.pulse):
            yield line


@dataclass(eq=False, repr=False)
class MissedQuestion(Question["FollowedLine"]):
    """What was stored after a mark, until now; entries returned before may come again, and the mark knows which."""

    mark: LineMark

    async def give(self, context: Context) -> AsyncGenerator[FollowedLine, None]:
        """The lines."""
        from collector.query.follow import notes_since

        start = await _start(context.store, self.mark)
        if start is not None:
            async for line in notes_since(context.store, start):
                yield line


async def _start(store: Store, mark: LineMark) -> datetime | None:
    """The time to continue from; None: nothing was returned yet."""
    from collector.query.first_stored import first_stored
    from collector.query.follow import by_number

    reached = by_number(await store.meta.reached())
    start = mark.start(reached)
    first = await first_stored(store, mark.new_among(reached)) if start else None
    return min(start, first) if start and first else start
