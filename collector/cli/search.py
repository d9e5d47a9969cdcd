"""`bgpledger search`: updates by anything, without a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, Limit, with_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from collector.cli.progress import Progress
    from collector.query.filters import Filter
    from collector.store.mongo import Store
    from schemas.query import HistoryEntry


@with_settings
@with_filters
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
    form_of_entries = form

    def ask(store: Store) -> AsyncIterator[HistoryEntry]:
        complete = form_of_entries not in WITHOUT_WITHDRAWN_ROUTES
        return _search(store, filters, limit, shown, everything=everything, complete=complete)

    with progress(among_answers=True) as shown:
        nothing = answer(settings, ask, FoundEntry, form_of_entries, filters=filters)
    if nothing:
        sys.stderr.write("nothing that is known passes these filters\n")


async def _search(
    store: Store, filters: Filter, limit: int | None, shown: Progress, *, everything: bool, complete: bool
) -> AsyncIterator[HistoryEntry]:
    from collector.errors import UsageError
    from collector.query.newest import search_newest
    from collector.query.origins import are_indexed
    from collector.query.search import count_updates, search

    indexed = await are_indexed(store, filters)
    count = await count_updates(store, filters)
    if filters.asks_for_routes and not indexed and filters.start is None and not everything:
        migrate = "; bgpledger db migrate makes an index that serves --origin" if filters.wanted_origins else ""
        raise UsageError(
            f"no index serves these filters: {count} UPDATEs would be read",
            f"give a range of time (--start 2h, --duration 1d), or --all to read them all the same{migrate}",
        )
    shown.total = None if filters.span or indexed or limit else count
    if limit is None:
        entries = search(store, filters, complete=complete, on_read=shown.advance)
    else:
        entries = search_newest(store, filters, limit, complete=complete, on_read=shown.advance)
    async for entry in entries:
        yield entry
