"""`bgpledger search`: updates by anything, without a prefix."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, with_settings


@with_settings
@partial(with_filters, prefixes=True)
def command(
    filters: Any,
    settings: Any,
    limit: Limit = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Go through the whole archive when no time is given.")
    ] = False,
    form: FormatOfEntries = "table",
) -> None:
    """Show updates and sessions by anything that the filters name, oldest first.

    Peers, times and origins narrow what is read; all else is looked for in it. Times are RFC 3339, unix seconds,
    "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed. In a filter a comma is OR, a leading !
    excludes.
    """
    import sys

    from bgpledger.questions.entries import SearchQuestion
    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from collector.present.formats import WITHOUT_WITHDRAWN_ROUTES
    from schemas.query import FoundEntry

    complete = form not in WITHOUT_WITHDRAWN_ROUTES
    question = SearchQuestion(filters, everything=everything, complete=complete, limit=limit)
    with progress(among_answers=True) as shown:
        question.progress = shown.reach
        nothing = answer(settings, question, FoundEntry, form)
    if nothing:
        sys.stderr.write("nothing that is known passes these filters\n")
