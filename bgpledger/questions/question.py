"""What all queries have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from bgpledger.answers import Answers
from bgpledger.cursors import TimeMark
from collector.query.coverage_checks import check_peers, check_seen, check_times
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.running import find_running
from collector.store.mongo import Store
from schemas.query import HistoryEntry

T = TypeVar("T")
Time = str | datetime | None
"""As text ("2h", "yesterday 14:05", RFC 3339, unix seconds), or as a datetime."""
Progress = Callable[[int, int | None], None]
"""Called with how much has been read, and how much there is; None while that is unknown."""

_MOST_NAMES = 5


@dataclass
class Context:
    """What a query needs to be answered."""

    store: Store
    data_dir: Path
    """The collector's settings, which list the configured peers."""
    answers: Answers[Any]
    """Receives notes about the answers."""

    async def cover(self, filters: Filter, *times: datetime | None) -> None:
        """Note the times that the archive does not cover, and peers that do not exist."""
        given = [time for time in (*times, filters.start) if time is not None]
        self.answers.covered = await check_times(self.store, given, filters.end, self.answers.note)
        running = find_running(self.data_dir)
        await check_peers(self.store, filters, running.peers if running else (), self.answers.note)

    def may_lack_routes(self, peers: Sequence[str]) -> None:
        """Note peers whose tables may lack routes."""
        if peers:
            self.answers.covered = False
            self.answers.note(
                f"routes may be missing: not all that {some_of(peers)} sent was received"
                " (bgpledger history PREFIX shows what is known of one)"
            )

    async def see(self, filters: Filter, *times: datetime | None) -> None:
        """Note times at which nothing was received from the wanted peers, unless others have been noted; None: now."""
        for time in times:
            if self.answers.covered:
                self.answers.covered = await check_seen(self.store, time, filters, self.answers.note)


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence; of many, the first and how many more there are."""
    more = len(names) - _MOST_NAMES
    return f"{', '.join(names[:_MOST_NAMES])} and {more} more peers" if more > 1 else ", ".join(names)


@dataclass(kw_only=True, eq=False, repr=False)
class Question(ABC, Generic[T]):
    """One query, to be run once.

    Raises:
        UsageError: it makes no sense.
    """

    deadline: float | None = None
    """The time limit for its answers, in seconds."""
    notes: list[str] = field(default_factory=list, init=False)
    """What looks odd, but may be intended."""

    @abstractmethod
    def give(self, context: Context) -> AsyncGenerator[T, None]:
        """The answers."""

    def cursor(self) -> str | None:
        """The cursor after the last answer; None if the query cannot be continued."""
        return None


@dataclass(kw_only=True, eq=False, repr=False)
class Resumed(Question[HistoryEntry]):
    """A query whose entries come in order of time, so that a cursor can continue it.

    `_mark`, which subclasses set, is where the previous query ended.
    """

    limit: int | None = None
    """Only the newest."""
    after: str | None = None
    """A cursor."""
    _mark: TimeMark = field(init=False)

    async def wanted(self, entries: AsyncIterator[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
        """The entries after the mark, up to the limit."""
        async for entry in newest(self._mark.follow(entries), self.limit):
            self._mark.see(entry)
            yield entry

    def cursor(self) -> str | None:
        """The cursor after the last entry."""
        return self._mark.token()


@dataclass(kw_only=True, eq=False, repr=False)
class Watched(Question[T]):
    """A query that may take long, and reports its progress."""

    progress: Progress | None = None

    def count(self, total: int | None) -> ReadCount:
        """A counter that reports to `progress` how much of a total has been read."""
        return ReadCount(self.progress, total)


class ReadCount:
    """Adds up what is read."""

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._read = 0

    def one(self) -> None:
        """One more."""
        self.more(1)

    def more(self, count: int) -> None:
        """So many more."""
        self._read += count
        if self._progress is not None:
            self._progress(self._read, self._total)


def named(question: str, of: str, filters: Filter) -> str:
    """What distinguishes a query from others: not its times, which may be written as "2h"."""
    return f"{question} {of} {replace(filters, start=None, end=None)}"
