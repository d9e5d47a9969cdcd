"""What is stored, told line by line to who follows: from now on, or behind where they were."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING

from bgpledger.cursors import LineMark
from bgpledger.questions.question import Context, Question
from collector.query.filters import EVERYTHING, Filter

if TYPE_CHECKING:
    from collector.query.follow import ToldLine


@dataclass(eq=False, repr=False)
class FollowQuestion(Question["ToldLine"]):
    """What `tail` gives, without end, line by line: each instance's in the order of its lines.

    Args:
        filters: which.
        after: goes on behind this mark; what was told before may come again, which the mark knows.
        pulse: called after each look at the store.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    after: LineMark | None = None
    pulse: Callable[[], None] | None = None

    async def give(self, context: Context) -> AsyncGenerator[ToldLine, None]:
        """The lines."""
        from collector.query.follow import by_number, follow

        start = self.filters.start
        if self.after is not None:
            start = self.after.start(by_number(await context.store.meta.reached())) or start
        async for told in follow(context.store, replace(self.filters, start=start), self.pulse):
            yield told


@dataclass(eq=False, repr=False)
class MissedQuestion(Question["ToldLine"]):
    """What has been stored behind a mark, until now; what was told before may come again, which the mark knows."""

    mark: LineMark

    async def give(self, context: Context) -> AsyncGenerator[ToldLine, None]:
        """The lines."""
        from collector.query.follow import by_number, told_since

        start = self.mark.start(by_number(await context.store.meta.reached()))
        if start is not None:
            async for told in told_since(context.store, start):
                yield told
