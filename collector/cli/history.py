"""`bgpledger history`: what happened to one prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, with_settings

if TYPE_CHECKING:
    from collector.query.filters import Filter


@with_settings
@with_filters
def command(
    prefix: Annotated[str, typer.Argument(help="An IPv4 or IPv6 prefix; an address is its own /32 or /128.")],
    filters: Any,
    settings: Any,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> None:
    """Show what every peer said of a prefix, oldest first, and the session ends that took it away.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed. In a
    filter a comma is OR, a leading ! excludes.
    """
    import sys

    from bgpledger.questions.entries import HistoryQuestion
    from collector.cli.run_query import answer
    from schemas.query import HistoryEntry

    question = HistoryQuestion(prefix, filters, limit=limit)
    if answer(settings, question, HistoryEntry, form):
        sys.stderr.write(f"nothing {_is_known_of(question.prefix, filters)}\n")


def _is_known_of(prefix: str, filters: Filter) -> str:
    from collector.query.filters import Filter

    if filters == Filter():
        return f"is known of {prefix}"
    if filters == Filter(start=filters.start, end=filters.end):
        return f"is known of {prefix} in this span"
    return f"that is known of {prefix} passes these filters"
