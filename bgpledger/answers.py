"""The answers to a query: one by one, with notes, and the cursor from which the next query continues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Self, TypeVar

import pymongo
from pymongo.errors import ExecutionTimeout

from collector.errors import DeadlineError, StoreError
from collector.turns import Turn

T = TypeVar("T")


class Answers(Generic[T]):
    """The answers to one query, to be read once with `async for`.

    The query starts when the first answer is read. If you stop early, close it with `aclose`, or use it as an
    asynchronous context manager, so that the server drops the rest.
    """

    def __init__(
        self,
        give: Callable[[Answers[T]], AsyncGenerator[T, None]],
        *,
        deadline: float | None = None,
        cursor: Callable[[], str | None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.notes: list[str] = []
        """What the caller should know: a time that the archive does not cover, a peer that it has never seen."""
        self.covered = True
        """Whether the archive covers all of the time in question; True before the first answer."""
        self._given = give(self)
        self._turn = Turn()
        self._seconds = deadline
        self._ends: float | None = None
        self._cursor = cursor
        self._say = say

    def note(self, note: str) -> None:
        """Add to the notes."""
        self.notes.append(note)
        self._say(note)

    @property
    def cursor(self) -> str | None:
        """A token: the same query with this as `after` continues after the last answer that was read.

        None before the first answer, and for queries that cannot be continued.
        """
        return self._cursor()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next answer.

        Raises:
            DeadlineError: the query has reached its deadline.
            StoreError: the store does not answer, or refuses.
            UsageError: the query makes no sense.
        """
        if self._turn.is_over:
            await self._turn.end()
        if self._seconds is None:
            return await anext(self._given)
        loop = asyncio.get_running_loop()
        if self._ends is None:
            self._ends = loop.time() + self._seconds
        left = self._ends - loop.time()
        if left <= 0:  # answers that are there already never wait, and nothing that waits would be ended
            await self.aclose()
            raise self._late(self._seconds)
        try:
            # The server too is told when nobody waits for it any more (maxTimeMS).
            async with asyncio.timeout_at(self._ends):
                with pymongo.timeout(left):
                    return await anext(self._given)
        except (TimeoutError, StoreError) as error:
            given_up = isinstance(error.__cause__, ExecutionTimeout)  # by the driver, which saw it coming
            if isinstance(error, StoreError) and loop.time() < self._ends and not given_up:
                raise
            await self.aclose()
            raise self._late(self._seconds) from None

    @staticmethod
    def _late(seconds: float) -> DeadlineError:
        return DeadlineError(
            f"the query took longer than {seconds:g} s",
            "ask for less (a shorter time, one peer, a prefix), continue from the cursor, or allow more time",
        )

    async def aclose(self) -> None:
        """Drop the answers that have not been read."""
        await self._given.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
