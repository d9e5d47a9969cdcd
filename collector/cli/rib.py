"""`bgpledger rib` and `bgpledger lookup`: the routes that stand, or stood."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, LessSpecific, Limit, MoreSpecific, prefix_match, with_settings
from collector.errors import UsageError
from collector.present.names import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgpledger import Answers, Archive
    from collector.query.batch import Batch
    from collector.query.filters import Filter
    from collector.query.rib import Match, RibQuery
    from collector.settings import Settings

At = Annotated[str | None, typer.Option(help="As it was then; without, as it is.", metavar="T")]


@with_settings
@partial(with_filters, standing=True)
def rib_command(
    filters: Any,
    settings: Any,
    prefix: Annotated[str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without, all routes.")] = None,
    at: At = None,
    more_specific: MoreSpecific = None,
    less_specific: LessSpecific = None,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> None:
    """Show the routes as they stand, or stood at a time: of one prefix, or all.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed. In a
    filter a comma is OR, a leading ! excludes.
    """
    match = prefix_match(more_specific, less_specific)
    if match and prefix is None:
        raise UsageError("more or less specific than what?", "give a prefix")
    _show(settings, _question(prefix, match or "exact", at), filters, limit, form)


@with_settings
@partial(with_filters, standing=True)
def lookup_command(
    address: Annotated[str, typer.Argument(help="An address, or a prefix.")],
    filters: Any,
    settings: Any,
    at: At = None,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> None:
    """Show the route that each peer would take to an address: its longest match, now or at a time.

    Filters choose among these. In each a comma is OR, a leading ! excludes.
    """
    _show(settings, _question(address, "longest", at), filters, limit, form)


def _question(prefix: str | None, match: Match, at: str | None) -> RibQuery:
    from collector.cli.run_query import say
    from collector.query.arguments import parse_prefix, parse_time
    from collector.query.rib import RibQuery

    return RibQuery(parse_prefix(prefix, say=say) if prefix is not None else None, match, parse_time(at))


def _show(settings: Settings, question: RibQuery, filters: Filter, limit: int | None, form: EntryFormat) -> None:
    import sys

    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from collector.query.arguments import check_family
    from schemas.query import Route

    check_family(filters, question.prefix)
    hidden: list[str] = []

    def ask(archive: Archive) -> Answers[Batch]:
        return archive.rib_batches(
            *(question.prefix, filters),
            match=question.match,
            at=question.at,
            limit=limit,
            progress=shown.reach,
            on_hidden=hidden.append,
        )

    with progress(among_answers=True, of="entries read") as shown:
        nothing = answer(settings, ask, Route, form, at=question.at)
    if nothing:
        sys.stderr.write(_why_none(question, filters, hidden))


def _why_none(question: RibQuery, filters: Filter, hidden: Sequence[str]) -> str:
    """What is said when nothing was printed.

    Args:
        question: what was asked.
        filters: what was asked for.
        hidden: the peers whose lost lines may hide a route, which some formats have no words for.
    """
    if hidden:
        return (
            f"whether a route to {question.prefix} {'stood then' if question.at else 'stands'} is not known: lines of"
            f" {', '.join(hidden)} were lost (bgpledger history {question.prefix} shows when)\n"
        )
    return f"no route {_asked_for(question, filters)}{'stood then' if question.at else 'stands'}\n"


def _asked_for(question: RibQuery, filters: Filter) -> str:
    from collector.query.filters import Filter

    within = "within" if question.match == "more_specific" else "to"
    words = f"{within} {question.prefix} " if question.prefix else ""
    return words if filters == Filter() else f"{words}that passes these filters "
