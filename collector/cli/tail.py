"""`bgpledger tail`: messages as they are stored."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, query_command


@query_command
@partial(with_filters, times=False, prefixes=True)
def command(
    filters: Any,
    where: Any,
    since: Annotated[
        str | None, typer.Option("--from", help="Start with what was stored since T.", metavar="T")
    ] = None,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> None:
    """Show updates and sessions as they are stored, until Ctrl-C.

    In a filter a comma is OR, a leading ! excludes. T is RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05".
    """
    with suppress(KeyboardInterrupt):
        from dataclasses import replace

        from bgpledger.questions.entries import TailQuestion
        from collector.cli.query_command import QueryCommand
        from collector.cli.run_query import answer
        from collector.query.arguments import parse_time
        from schemas.query import LiveEntry

        wanted = replace(filters, start=parse_time(since))
        question = TailQuestion(wanted, limit=limit, pulse=_stop_when_nobody_reads)
        answer(QueryCommand(where, question, LiveEntry, form), share=True)


def _stop_when_nobody_reads() -> None:
    """End when our reader, such as `head`, has left: the next entry would reveal that, but may be long in coming."""
    import select
    import sys

    sys.stdout.flush()
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in reader.poll(0)):
        raise BrokenPipeError
