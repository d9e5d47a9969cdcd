"""What the commands that ask have in common: finding the store, and writing the answers."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from bgpledger import Answers
    from bgpledger.questions.question import Question
    from collector.present.names import Format
    from collector.settings import Settings

_FLUSH_SECONDS = 0.1
_NONE = object()
_COLLECT_EVERY = 50_000
"""Objects more than before."""


def answer(
    settings: Settings,
    question: Question[Any],
    kind: type[BaseModel],
    form: Format,
    *,
    at: datetime | None = None,
    first: Callable[[], None] = lambda: None,
) -> bool:
    """Ask the archive, and write the answers to stdout as they come; its notes go to stderr.

    Args:
        settings: which archive.
        question: what is asked.
        kind: what its answers are.
        form: how they are written.
        at: the moment at which routes stand; None: now.
        first: called before anything is written.

    Returns:
        Whether nothing was found, though the archive covers what was asked.
    """
    from bgpledger.archive import Archive
    from collector.present.formats import write

    collect_rarely()

    async def ask_and_write() -> bool:
        async with Archive.found(settings, say=say) as archive:
            answers = archive.ask(question)
            count = await write(_behind(first, answers), kind, form, sys.stdout, at=at)
            return answers.covered and not count

    return asyncio.run(_flushing(ask_and_write()))


async def _behind(first: Callable[[], None], answers: Answers[Any]) -> AsyncIterator[Any]:
    async with answers:
        one = await anext(answers, _NONE)
        first()
        if one is not _NONE:
            yield one
            async for another in answers:
                yield another


def show(answers: Sequence[BaseModel], kind: type[BaseModel], form: Format) -> None:
    """Write answers that are there already to stdout.

    Args:
        answers: what is written.
        kind: what all of them are.
        form: how they are written.
    """
    from collector.present.formats import write

    async def each() -> AsyncIterator[BaseModel]:
        for one in answers:
            yield one

    asyncio.run(write(each(), kind, form, sys.stdout))


def say(said: str) -> None:
    """Tell whoever asks, on stderr."""
    sys.stderr.write(f"{said}\n")


def collect_rarely() -> None:
    """Look for cycles rarely, and not in what was imported; for who goes on behind the start.

    Answers and documents, which come and go by the thousand, have none: to look for some takes a fifth.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


async def _flushing(work: Coroutine[Any, Any, bool]) -> bool:
    """Let what is written be seen soon, into a pipe too; and end the work when nobody reads it any more."""
    from collector.tasks import end

    working = asyncio.create_task(work)
    flushing = asyncio.create_task(_flush_on_and_on())
    try:
        await asyncio.wait((working, flushing), return_when=asyncio.FIRST_COMPLETED)
        if flushing.done():
            await flushing
        found = await working
        sys.stdout.flush()
        return found
    finally:
        await end(working, flushing)


async def _flush_on_and_on() -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        sys.stdout.flush()
