"""`bgpledger search`: updates by anything, without a prefix."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, with_settings

if TYPE_CHECKING:
    from bgpledger import Answers, Archive
    from schemas.query import HistoryEntry


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

    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from collector.present.formats import WITHOUT_WITHDRAWN_ROUTES
    from collector.query.arguments import check_routes_can_match
    from schemas.query import FoundEntry

    check_routes_can_match(filters)
    complete = form not in WITHOUT_WITHDRAWN_ROUTES

    def ask(archive: Archive) -> Answers[HistoryEntry]:
        return archive.search(filters, everything=everything, complete=complete, limit=limit, progress=shown.reach)

    with progress(among_answers=True) as shown:
        nothing = answer(settings, ask, FoundEntry, form)
    if nothing:
        sys.stderr.write("nothing that is known passes these filters\n")
