"""A parsed command that queries the archive: answered in this process, or in a collector's HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from bgpledger.questions.question import Question, Watched
from collector.cli.options import Where
from collector.cli.progress import ProgressLine

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from bgpledger import Answers, Archive
    from collector.present.names import Format

_NONE = object()


async def _go_on() -> None:
    pass


@dataclass(frozen=True)
class QueryCommand:
    """A parsed query command: the query, and how its answers are written."""

    where: Where
    """The archive to query."""
    question: Question[Any]
    kind: type[BaseModel]
    """The type of the answers."""
    form: Format
    """The output format."""
    none: Callable[[], str] | None = None
    """The note if nothing was found although the archive covers the query."""
    at: datetime | None = None
    """The time of the routes; None: now."""
    counts: str = "UPDATEs read"
    """What the progress line counts."""
    reads_first: bool = False
    """Whether everything is read before the first answer, so that progress does not mix with answers."""

    async def answer(
        self, archive: Archive, out: TextIO, err: TextIO, between: Callable[[], Awaitable[None]] = _go_on
    ) -> None:
        """Write the answers as they arrive, and the notes.

        Args:
            archive: the archive to query.
            out: gets the answers.
            err: gets everything else.
            between: awaited before each answer except the first.

        Raises:
            UsageError: the query makes no sense.
        """
        from collector.present.formats import write

        def say(note: str) -> None:
            err.write(f"{note}\n")

        shows = err.isatty() and (self.reads_first or not out.isatty())
        shown = ProgressLine(err if shows else None, of=self.counts)
        if isinstance(self.question, Watched):
            self.question.progress = shown.reach
        try:
            answers = archive.telling(say).ask(self.question)
            count = await write(_behind(shown, answers, between), self.kind, self.form, out, at=self.at)
        finally:
            shown.end()
        if self.none and answers.covered and not count:
            say(self.none())


async def _behind(
    shown: ProgressLine, answers: Answers[Any], between: Callable[[], Awaitable[None]]
) -> AsyncIterator[Any]:
    """The answers, removing the progress line before the first."""
    async with answers:
        one = await anext(answers, _NONE)
        shown.end()
        if one is not _NONE:
            yield one
            async for another in answers:
                await between()
                yield another
