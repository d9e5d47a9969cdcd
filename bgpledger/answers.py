"""The answers to a query: one by one, with notes, and the cursor from which the next query continues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from typing import Generic, Self, TypeVar

import pymongo
from pymongo.errors import ExecutionTimeout

from collector.errors import DeadlineError, StoreError
from collector.turns import Turn

T = TypeVar("T")


class Answers(Generic[T]):
    """The answers to one question, for `async for`, once.

    Nothing is asked before the first is wanted. Whoever stops early closes them with `aclose`, or uses them as an
    asynchronous context manager, so that the server forgets the rest.
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
        """What whoever asks should know: a time that the archive does not cover, a peer that it has never heard of."""
        self.covered = True
        """Whether the archive knows of all the time that is asked about; True before the first answer."""
        self._given = give(self)
        self._turn = Turn()
        self._seconds = deadline
        self._ends: float | None = None
        self._cursor = cursor
        self._say = say

    def note(self, said: str) -> None:
        """Add to the notes."""
        self.notes.append(said)
        self._say(said)

    @property
    def cursor(self) -> str | None:
        """A token: the same question with `after` set to it goes on behind the last answer that was given.

        None before the first answer, and of questions that cannot be gone on with.
        """
        return self._cursor()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next answer.

        Raises:
            DeadlineError: the question has taken as long as it may.
            StoreError: the store does not answer, or refuses.
            UsageError: the question cannot be meant.
        """
        if self._turn.is_over:
            await self._turn.end()
        if self._seconds is None:
            return await anext(self._given)
        loop = asyncio.get_running_loop()
        if self._ends is None:
            self._ends = loop.time() + self._seconds
        left = self._ends - loop.time()
        try:
            # The server too is told when nobody waits for it any more (maxTimeMS).
            async with asyncio.timeout_at(self._ends):
                with pymongo.timeout(left) if left > 0 else nullcontext():
                    return await anext(self._given)
        except (TimeoutError, StoreError) as error:
            given_up = isinstance(error.__cause__, ExecutionTimeout)  # by the driver, which saw it coming
            if isinstance(error, StoreError) and loop.time() < self._ends and not given_up:
                raise
            await self.aclose()
            raise DeadlineError(
                f"the query took longer than {self._seconds:g} s",
                "ask for less (a shorter time, one peer, a prefix), continue from the cursor, or allow more time",
            ) from None

    async def aclose(self) -> None:
        """Give up what has not been given."""
        await self._given.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
