"""What all queries have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from bgpledger.answers import Answers
from bgpledger.cursors import TimeMark
from collector.query.coverage_checks import check_moments, check_peers
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.running import find_running
from collector.store.mongo import Store
from schemas.query import HistoryEntry

T = TypeVar("T")
Time = str | datetime | None
"""As text ("2h", "yesterday 14:05", RFC 3339, unix seconds), or as a datetime."""
Progress = Callable[[int, int | None], None]
"""Called with how much has been read, and of how much; None while that is unknown."""


@dataclass
class Context:
    """What a question is answered with."""

    store: Store
    data_dir: Path
    """The collector's, which says who is configured."""
    answers: Answers[Any]
    """Take what is to be said of them."""

    async def cover(self, filters: Filter, *moments: datetime | None) -> None:
        """Say what the archive cannot know of, and which peers there are not."""
        asked = [moment for moment in (*moments, filters.start) if moment is not None]
        self.answers.covered = await check_moments(self.store, asked, filters.end, self.answers.note)
        running = find_running(self.data_dir)
        await check_peers(self.store, filters, running.peers if running else (), self.answers.note)


@dataclass(kw_only=True, eq=False, repr=False)
class Question(ABC, Generic[T]):
    """One question, to be asked once.

    Raises:
        UsageError: it cannot be meant.
    """

    deadline: float | None = None
    """Seconds that its answers may take."""
    said: list[str] = field(default_factory=list, init=False)
    """What looks odd, but can be meant."""

    @abstractmethod
    def give(self, context: Context) -> AsyncGenerator[T, None]:
        """The answers."""

    def cursor(self) -> str | None:
        """Where to go on behind the last answer; None where that cannot be."""
        return None


@dataclass(kw_only=True, eq=False, repr=False)
class Resumed(Question[HistoryEntry]):
    """One whose entries come in the order of time, so that a cursor can say where to go on.

    `_mark`, which it sets, is where the question before this one ended.
    """

    limit: int | None = None
    """Only the newest."""
    after: str | None = None
    """A cursor."""
    _mark: TimeMark = field(init=False)

    async def wanted(self, entries: AsyncIterator[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
        """The entries behind the mark, and no more than are wanted."""
        async for entry in newest(self._mark.follow(entries), self.limit):
            self._mark.see(entry)
            yield entry

    def cursor(self) -> str | None:
        """Behind the last entry."""
        return self._mark.token()


@dataclass(kw_only=True, eq=False, repr=False)
class Watched(Question[T]):
    """One that takes long, and says how far it has come."""

    progress: Progress | None = None

    def count(self, total: int | None) -> ReadCount:
        """Tells `progress` what is read, of so many."""
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
    """What tells a question from others: not its times, which may be written as "2h"."""
    return f"{question} {of} {replace(filters, start=None, end=None)}"
