"""`bgpledger history`: what happened to one prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, query_command

if TYPE_CHECKING:
    from collector.query.filters import Filter


@query_command
@with_filters
def command(
    prefix: Annotated[
        str, typer.Argument(help="An IPv4 or IPv6 prefix; an address is its own /32 or /128.", metavar="PREFIX")
    ],
    filters: Any,
    where: Any,
    with_ours: Annotated[
        bool, typer.Option(help="Also our own announcements: who ordered them, and whether each peer got them.")
    ] = False,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> Any:
    """Show what every peer said about a prefix, oldest first, and the sessions whose end withdrew it.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, like all output. In a
    filter a comma is OR, a leading ! excludes.
    """
    from bgpledger.questions.entries import HistoryQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.query import HistoryEntry

    question = HistoryQuestion(prefix, filters, with_ours=with_ours, limit=limit)
    return QueryCommand(
        *(where, question, HistoryEntry, form),
        none=lambda: f"nothing {_is_known_of(question.prefix, filters)}",
    )


def _is_known_of(prefix: str, filters: Filter) -> str:
    from collector.query.filters import Filter

    if filters == Filter():
        return f"is known of {prefix}"
    if filters == Filter(start=filters.start, end=filters.end):
        return f"is known of {prefix} in this span"
    return f"that is known of {prefix} passes these filters"
