"""Runs the programs that decide automatically what is announced: checks and attached commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager

from collector.acting.attached.program import Program
from collector.acting.book import Book
from collector.acting.desk import Desk
from collector.acting.health.checker import Checker
from collector.acting.wishes import Wishes
from collector.errors import RefusedError, one_error
from collector.settings import Settings
from collector.tasks import end
from schemas.intents import Order, Withdrawal

_KINDS = ("healthcheck ", "command ")


class OwnWishes:
    """Passes their orders to the desk."""

    def __init__(self, desk: Desk, book: Book) -> None:
        self._desk, self._book = desk, book

    async def act(self, wish: Order | Withdrawal) -> None:
        """See `Wishes.act`."""
        if isinstance(wish, Order):
            request = {"do": "announce", "order": wish.model_dump(mode="json", exclude_defaults=True)}
        elif self._book.meant(wish):
            request = {"do": "withdraw", "withdrawal": wish.model_dump(mode="json", exclude_defaults=True)}
        else:
            return
        answer = self._desk.answer(request)
        if "ok" not in answer:
            said = answer.get("refused") or answer["failed"]
            raise RefusedError(said["cause"], said["cure"])

    def current_ids(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        """See `Wishes.current_ids`."""
        found = self._book.meant(Withdrawal(who=source, why="-", source=source, of=source))
        entries = [self._book.entries[number] for number in found]
        return tuple(entry.intent.id for entry in entries if entry.announcement.nlri in nlris)

    async def forget(self, known: Container[str]) -> None:
        """Withdraw announcements of checks and commands that are no longer configured."""
        sources = {entry.intent.source for entry in self._book.entries.values() if entry.live}
        for source in sorted(sources):
            if source.startswith(_KINDS) and source not in known:
                await self.act(Withdrawal(who=source, why="it is configured no more", source=source, of=source))


@asynccontextmanager
async def deciding(settings: Settings, wishes: Wishes, is_restart: Callable[[], bool]) -> AsyncIterator[None]:
    """Keep checks and attached commands up until the block ends.

    Args:
        settings: the configured checks and commands.
        wishes: takes their orders.
        is_restart: called at the end: whether they will be restarted at once, so that nothing is withdrawn.
    """
    checkers = [Checker(check, wishes) for check in settings.checks]
    programs = [Program(command, wishes) for command in settings.commands]
    with one_error():
        async with asyncio.TaskGroup() as group:
            looking = [group.create_task(checker.run()) for checker in checkers]
            running = [group.create_task(program.run()) for program in programs]
            try:
                yield
            finally:
                await end(*looking)
                if is_restart():
                    await end(*running)
                else:
                    for checker in checkers:
                        await checker.leave()
                    await asyncio.gather(*(program.stop() for program in programs))
