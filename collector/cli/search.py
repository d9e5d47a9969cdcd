"""`bgpledger search`: updates by anything, without a prefix."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, that_asks


@that_asks
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
    """Show updates and sessions by anything that the filters name, oldest first.

    Peers, times and origins narrow what is read; all else is looked for in it. Times are RFC 3339, unix seconds,
    "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed. In a filter a comma is OR, a leading !
    excludes.
    """
    from bgpledger.questions.entries import SearchQuestion
    from collector.cli.asked import Asked
    from collector.present.formats import WITHOUT_WITHDRAWN_ROUTES
    from schemas.query import FoundEntry

    complete = form not in WITHOUT_WITHDRAWN_ROUTES
    question = SearchQuestion(filters, everything=everything, complete=complete, limit=limit)
    return Asked(where, question, FoundEntry, form, none=lambda: "nothing that is known passes these filters")
