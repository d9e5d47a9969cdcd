"""`bgpledger top`: the prefixes, origins, peers or paths with the most messages."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfAnswers, query_command


class _What(StrEnum):
    PREFIXES = "prefixes"
    ORIGINS = "origins"
    PEERS = "peers"
    PATHS = "paths"


class _By(StrEnum):
    ANNOUNCEMENTS = "announcements"
    WITHDRAWALS = "withdrawals"
    FLAPS = "flaps"
    PATH_CHANGES = "path-changes"
    MALFORMED = "malformed"


@query_command
@partial(with_filters, prefixes=True)
def command(
    what: Annotated[_What, typer.Argument(help="What to rank.", metavar="WHAT")],
    filters: Any,
    where: Any,
    by: Annotated[_By, typer.Option(help="What to sort by.")] = _By.ANNOUNCEMENTS,
    limit: Annotated[int, typer.Option(min=1, help="Only the first N.", metavar="N")] = 10,
    form: FormatOfAnswers = "table",
) -> Any:
    """Show the prefixes, origins, peers or paths with the most messages.

    A flap is an announcement of a route that its peer had withdrawn; a path change is an announcement with another AS
    path than the one before; malformed counts those with malformed attributes (RFC 7606). Without a time the whole
    archive is read. In a filter a comma is OR, a leading ! excludes.
    """
    from bgpledger.questions.summaries import TopQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.query import TopEntry

    order: Any = by.replace("-", "_")
    question = TopQuestion(what.value, order, filters, limit=limit)
    return QueryCommand(
        *(where, question, TopEntry, form),
        none=lambda: "nothing that is known passes these filters",
        reads_first=True,
    )
