"""What query commands share: finding the store, and writing the answers."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from collector.tasks import run_interruptible

if TYPE_CHECKING:
    from pydantic import BaseModel

    from collector.cli.query_command import QueryCommand
    from collector.present.names import Format

_FLUSH_SECONDS = 0.1
_COLLECT_EVERY = 50_000
"""The number of new objects after which cycles are collected."""


def answer(command: QueryCommand, *, share: bool = False) -> None:
    """Query the archive, and write the answers to stdout as they come; notes go to stderr.

    Args:
        command: the query.
        share: see `find_uri`.
    """
    from bgpledger.archive import Archive

    collect_rarely()
    settings = command.where.settings()

    async def ask_and_write() -> None:
        async with Archive.found(settings, share=share) as archive:
            await command.answer(archive, sys.stdout, sys.stderr)

    run_interruptible(_flushing(ask_and_write()))


def show(answers: Sequence[BaseModel], kind: type[BaseModel], form: Format) -> None:
    """Write existing answers to stdout.

    Args:
        answers: the answers.
        kind: the type of all answers.
        form: the format.
    """
    from collector.present.formats import write

    async def each() -> AsyncIterator[BaseModel]:
        for one in answers:
            yield one

    asyncio.run(write(each(), kind, form, sys.stdout))


def say(note: str) -> None:
    """Write a note to stderr."""
    sys.stderr.write(f"{note}\n")


def collect_rarely() -> None:
    """Collect cycles rarely, and never among imported objects; for processes that continue after their start.

    Answers and documents, which come and go by the thousand, contain no cycles; looking for them takes a fifth of the
    time.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


async def _flushing(work: Coroutine[Any, Any, None]) -> None:
    """Flush output soon, also into a pipe; stop when nobody reads it any more."""
    from collector.tasks import end

    working = asyncio.create_task(work)
    flushing = asyncio.create_task(_flush_on_and_on())
    try:
        await asyncio.wait((working, flushing), return_when=asyncio.FIRST_COMPLETED)
        if flushing.done():
            await flushing
        await working
        sys.stdout.flush()
    finally:
        await end(working, flushing)


async def _flush_on_and_on() -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        sys.stdout.flush()
