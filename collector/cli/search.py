"""`bgpledger search`: updates and sessions by any filter."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, query_command


@query_command
@partial(with_filters, prefixes=True)
def command(
    filters: Any,
    where: Any,
    limit: Limit = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Go through the whole archive when no time is given.")
    ] = False,
    form: FormatOfEntries = "table",
) -> Any:
    """Show updates and sessions that match the filters, oldest first.

    Filters on peers, times and origins limit what is read; all others are applied to what is read. Times are RFC 3339,
    unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, like all output. In a filter a comma is OR, a leading !
    excludes.
    """
    from bgpledger.questions.entries import SearchQuestion
    from collector.cli.query_command import QueryCommand
    from collector.present.formats import WITHOUT_WITHDRAWN_ROUTES
    from schemas.query import FoundEntry

    complete = form not in WITHOUT_WITHDRAWN_ROUTES
    question = SearchQuestion(filters, everything=everything, complete=complete, limit=limit)
    return QueryCommand(where, question, FoundEntry, form, none=lambda: "nothing that is known passes these filters")
