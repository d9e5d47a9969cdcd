"""Runs the programs that decide automatically what is announced: checks and attached commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager

from collector.acting.attached.program import Program
from collector.acting.book import Book
from collector.acting.health.checker import Checker
from collector.acting.order_handler import OrderHandler
from collector.acting.order_sink import OrderSink
from collector.errors import RefusedError, one_error
from collector.settings.model import Settings
from collector.tasks import end
from schemas.intents import Order, Withdrawal

_KINDS = ("healthcheck ", "command ")


class LocalOrders:
    """Passes orders on within this process."""

    def __init__(self, handler: OrderHandler, book: Book) -> None:
        self._handler, self._book = handler, book

    async def submit(self, order: Order | Withdrawal) -> None:
        """See `OrderSink.submit`."""
        if isinstance(order, Order):
            request = {"do": "announce", "order": order.model_dump(mode="json", exclude_defaults=True)}
        elif self._book.selected(order):
            request = {"do": "withdraw", "withdrawal": order.model_dump(mode="json", exclude_defaults=True)}
        else:
            return
        answer = self._handler.answer(request)
        if "ok" not in answer:
            error = answer.get("refused") or answer["failed"]
            raise RefusedError(error["cause"], error["cure"])

    def current_ids(self, source: str, nlris: Container[str]) -> tuple[str, ...]:
        """See `OrderSink.current_ids`."""
        found = self._book.selected(Withdrawal(who=source, why="-", source=source, of=source))
        entries = [self._book.entries[number] for number in found]
        return tuple(entry.intent.id for entry in entries if entry.announcement.nlri in nlris)

    async def forget(self, known: Container[str]) -> None:
        """Withdraw announcements of checks and commands that are no longer configured."""
        sources = {entry.intent.source for entry in self._book.entries.values() if entry.live}
        for source in sorted(sources):
            if source.startswith(_KINDS) and source not in known:
                await self.submit(Withdrawal(who=source, why="it is configured no more", source=source, of=source))


@asynccontextmanager
async def deciding(settings: Settings, orders: OrderSink, is_restart: Callable[[], bool]) -> AsyncIterator[None]:
    """Keep checks and attached commands up until the block ends.

    Args:
        settings: the configured checks and commands.
        orders: takes their orders.
        is_restart: called at the end: whether they will be restarted at once, so that nothing is withdrawn.
    """
    checkers = [Checker(check, orders) for check in settings.checks]
    programs = [Program(command, orders) for command in settings.commands]
    with one_error():
        async with asyncio.TaskGroup() as group:
            probing = [group.create_task(checker.run()) for checker in checkers]
            running = [group.create_task(program.run()) for program in programs]
            try:
                yield
            finally:
                await end(*probing)
                if is_restart():
                    await end(*running)
                else:
                    for checker in checkers:
                        await checker.leave()
                    await asyncio.gather(*(program.stop() for program in programs))
