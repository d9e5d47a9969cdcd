"""Queries over the whole archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from bgpledger.questions.question import Context, Question, Time, Watched
from collector.query.arguments import parse_prefix, parse_time
from collector.query.filters import EVERYTHING, Filter
from schemas.query import PeerConvergence, TopEntry

if TYPE_CHECKING:
    from collector.query.top import By, What
    from schemas.intents import Intent
    from schemas.status import PeerStatus


@dataclass(eq=False, repr=False)
class TopQuestion(Watched[TopEntry]):
    """The prefixes, origins, peers or paths with the most messages; see `bgpledger top --help` for what is counted."""

    what: What
    by: By = "announcements"
    filters: Filter = EVERYTHING
    _: KW_ONLY
    limit: int = 10

    def __post_init__(self) -> None:
        from collector.query.top import check_countable

        check_countable(self.by, self.filters)

    async def give(self, context: Context) -> AsyncGenerator[TopEntry, None]:
        """The entries, those with the most messages first."""
        from collector.query.origins import are_indexed
        from collector.query.search import count_updates
        from collector.query.top import top

        await context.cover(self.filters)
        whole = not self.filters.span and not await are_indexed(context.store, self.filters)
        read = self.count(await count_updates(context.store, self.filters) if whole else None)
        async for entry in top(context.store, self.what, self.by, self.filters, self.limit, on_read=read.one):
            yield entry


@dataclass(eq=False, repr=False)
class PeersQuestion(Question["PeerStatus"]):
    """Each peer, or the one with an address: its state and since when, its updates and routes; if down, why."""

    address: str | None = None

    async def give(self, context: Context) -> AsyncGenerator[PeerStatus, None]:
        """The peers."""
        from collector.query.peers import peers_here

        async for peer in peers_here(context.store, context.data_dir, self.address):
            yield peer


@dataclass(eq=False, repr=False)
class IntentsQuestion(Question["Intent"]):
    """What this collector, and others with the same database, announce, oldest first.

    Args:
        prefix: only intents for this one.
        at: the time; None: now.
        ended: also those that were withdrawn, expired, replaced, or failed.
        deadline: in seconds.
    """

    prefix: str | None = None
    _: KW_ONLY
    at: Time = None
    ended: bool = False

    def __post_init__(self) -> None:
        self._prefix = None if self.prefix is None else parse_prefix(self.prefix, say=self.notes.append)
        self._moment = parse_time(self.at)

    async def give(self, context: Context) -> AsyncGenerator[Intent, None]:
        """The intents."""
        from collector.query.intents import intents

        async for one in intents(context.store, prefix=self._prefix, at=self._moment, ended=self.ended):
            yield one


@dataclass(eq=False, repr=False)
class ConvergenceQuestion(Question[PeerConvergence]):
    """When each peer first announced an intent's route, and when it last withdrew it.

    Args:
        intent: its id.
        deadline: in seconds.
    """

    intent: str

    async def give(self, context: Context) -> AsyncGenerator[PeerConvergence, None]:
        """What each peer said, in the order in which they first did."""
        from collector.query.convergence import convergence

        async for one in convergence(context.store, self.intent):
            yield one
