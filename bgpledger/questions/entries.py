"""Queries whose answers come in order of time: messages and sessions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from bgpledger.cursors import TimeMark
from bgpledger.questions.question import Context, Question, Resumed, Watched, named
from collector.errors import UsageError
from collector.query.arguments import parse_prefix
from collector.query.filter_text import check_family_of_prefix, check_routes_can_match
from collector.query.filters import EVERYTHING, Filter
from collector.query.history import HistoryQuery, history
from collector.store.mongo import Store
from schemas.query import ActivitySample, HistoryEntry
from schemas.scalars import spoken

if TYPE_CHECKING:
    from collector.query.messages import SessionChange, StoredMessage
    from schemas.status import PeerSession


@dataclass(eq=False, repr=False)
class HistoryQuestion(Resumed):
    """What every peer said about a prefix, oldest first, and the ends of sessions that withdrew its routes.

    Args:
        prefix: the prefix.
        filters: which of its entries.
        with_ours: also the states of our own announcements of it, at each peer they were for.
        limit: only the newest.
        after: a cursor.
        deadline: in seconds.
    """

    prefix: str
    filters: Filter = EVERYTHING
    _: KW_ONLY
    with_ours: bool = False

    def __post_init__(self) -> None:
        self.prefix = parse_prefix(self.prefix, say=self.notes.append)
        check_family_of_prefix(self.filters, self.prefix)
        self._mark = TimeMark(named("history", self.prefix, self.filters), self.after)

    async def give(self, context: Context) -> AsyncGenerator[HistoryEntry, None]:
        """The entries."""
        await context.cover(self.filters)
        question = HistoryQuery(self.prefix, _from(self.filters, self._mark), self.with_ours)
        if self.limit is None:
            entries = history(context.store, question)
        else:
            from collector.query.history_newest import history_newest

            entries = history_newest(context.store, question, self.limit + self._mark.given)
        async for entry in self.wanted(entries):
            yield entry


@dataclass(eq=False, repr=False)
class SearchQuestion(Resumed, Watched[HistoryEntry]):
    """Updates and sessions of all prefixes, oldest first.

    Args:
        filters: which.
        everything: read the whole archive if no filter limits what is read.
        complete: give withdrawals the route that they end, which has to be looked up.
        limit: only the newest.
        patience: seconds after which the newest found so far are returned, with a note; only with a limit.
        after: a cursor.
        deadline: in seconds.
        progress: called with how many UPDATEs have been read.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    everything: bool = False
    complete: bool = True
    patience: float | None = None

    def __post_init__(self) -> None:
        check_routes_can_match(self.filters)
        self._mark = TimeMark(named("search", "", self.filters), self.after)

    async def give(self, context: Context) -> AsyncGenerator[HistoryEntry, None]:
        """The entries."""
        from collector.query.search import search
        from collector.query.search_newest import search_newest

        await context.cover(self.filters)
        cost = await _cost(context.store, self.filters, everything=self.everything)
        read = self.count(None if self.limit else cost)
        wanted, complete = _from(self.filters, self._mark), self.complete
        if self.limit is not None and self.after is None:
            entries = search_newest(
                *(context.store, wanted, self.limit),
                complete=complete,
                patience=self.patience,
                on_cut=lambda ts: context.answers.note(_cut(ts)),
                on_read=read.one,
            )
        else:
            entries = search(context.store, wanted, complete=complete, on_read=read.one)
        async for entry in self.wanted(entries):
            yield entry


@dataclass(eq=False, repr=False)
class MessagesQuestion(Watched["StoredMessage | SessionChange"]):
    """The messages of `search` whole, as they are stored: for exports.

    Messages other than UPDATEs are included if the filters select neither routes nor kinds of entries;
    without `with_others` they never are.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    everything: bool = False
    with_others: bool = True

    def __post_init__(self) -> None:
        check_routes_can_match(self.filters)

    async def give(self, context: Context) -> AsyncGenerator[StoredMessage | SessionChange, None]:
        """The messages."""
        from collector.query.messages import messages

        await context.cover(self.filters)
        read = self.count(await _cost(context.store, self.filters, everything=self.everything))
        found = messages(context.store, self.filters, with_others=self.with_others, on_read=read.one)
        async with aclosing(found) as selected:
            async for one in selected:
                yield one


@dataclass(eq=False, repr=False)
class TailQuestion(Question[HistoryEntry]):
    """Updates and sessions as they are stored, from now on or since the filters' start, endlessly.

    Args:
        filters: which.
        limit: end after this many.
        deadline: in seconds.
        pulse: called after each look at the store, several times a second; an exception from it ends this.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    limit: int | None = None
    pulse: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        check_routes_can_match(self.filters)

    async def give(self, context: Context) -> AsyncGenerator[HistoryEntry, None]:
        """The entries."""
        from collector.query.tail import tail

        await context.cover(self.filters)
        async for entry in tail(context.store, self.filters, limit=self.limit, pulse=self.pulse or _go_on):
            yield entry


@dataclass(eq=False, repr=False)
class SessionsQuestion(Question["PeerSession"]):
    """The sessions of peers, by their begin; of the filters, peers and times matter."""

    filters: Filter = EVERYTHING

    async def give(self, context: Context) -> AsyncGenerator[PeerSession, None]:
        """The sessions."""
        from collector.query.sessions import sessions

        await context.cover(self.filters)
        async for session in sessions(context.store, self.filters):
            yield session


@dataclass(eq=False, repr=False)
class GapsQuestion(Question[HistoryEntry]):
    """Gaps, oldest first; of the filters, peers and times matter."""

    filters: Filter = EVERYTHING

    async def give(self, context: Context) -> AsyncGenerator[HistoryEntry, None]:
        """The gaps."""
        from collector.query.sessions import gaps

        await context.cover(self.filters)
        async for gap in gaps(context.store, self.filters):
            yield gap


@dataclass(eq=False, repr=False)
class ActivityQuestion(Question[ActivitySample]):
    """The number of messages in consecutive time spans of one length, from the filters' start to their end.

    Args:
        filters: the peers, and a time range with both ends; other conditions are ignored.
        samples: the maximum number of spans.
        deadline: in seconds.
    """

    filters: Filter
    _: KW_ONLY
    samples: int = 120

    async def give(self, context: Context) -> AsyncGenerator[ActivitySample, None]:
        """The samples."""
        from collector.query.activity import activity

        await context.cover(self.filters)
        async for sample in activity(context.store, self.filters, self.samples):
            yield sample


async def _cost(store: Store, filters: Filter, *, everything: bool) -> int | None:
    """The number of UPDATEs that a search reads, if known.

    Raises:
        UsageError: it would read all of them, without `everything`.
    """
    from collector.query.origins import are_indexed
    from collector.query.search import count_updates

    indexed = await are_indexed(store, filters)
    count = await count_updates(store, filters)
    if filters.asks_for_routes and not indexed and filters.start is None and not everything:
        migrate = "; bgpledger db migrate makes an index that serves --origin" if filters.wanted_origins else ""
        raise UsageError(
            f"no index serves these filters: {count} UPDATEs would be read",
            f"give a time range (--start 2h, --duration 1d), or --all to read them anyway{migrate}",
        )
    return None if filters.span or indexed else count


def _cut(ts: datetime) -> str:
    return f"what was said since {spoken(ts)} UTC was looked through, and no more in the time that there was"


def _from(filters: Filter, mark: TimeMark) -> Filter:
    """The filters, starting from a cursor's time."""
    return replace(filters, start=mark.start) if mark.start else filters


def _go_on() -> None:
    pass
