"""`bgpledger rib` and `bgpledger lookup`: the routes, now or at a past time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, LessSpecific, Limit, MoreSpecific, Where, prefix_match, query_command
from collector.present.names import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgpledger.questions.routes import RibBatchesQuestion
    from collector.cli.query_command import QueryCommand

At = Annotated[str | None, typer.Option(help="At this time; without it, now.", metavar="T")]


@query_command
@partial(with_filters, of_routes=True)
def rib_command(
    filters: Any,
    where: Any,
    prefix: Annotated[
        str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without it, all routes.", metavar="PREFIX")
    ] = None,
    at: At = None,
    more_specific: MoreSpecific = None,
    less_specific: LessSpecific = None,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> Any:
    """Show the routes to one prefix, or all routes, now or at a past time.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, like all output. In a
    filter a comma is OR, a leading ! excludes.
    """
    from bgpledger.questions.routes import RibBatchesQuestion

    match = prefix_match(more_specific, less_specific) or "exact"
    return _rib_command(where, RibBatchesQuestion(prefix, filters, match=match, at=at, limit=limit), form)


@query_command
@partial(with_filters, of_routes=True)
def lookup_command(
    address: Annotated[str, typer.Argument(help="An address, or a prefix.", metavar="ADDRESS")],
    filters: Any,
    where: Any,
    at: At = None,
    limit: Limit = None,
    form: FormatOfEntries = "table",
) -> Any:
    """Show each peer's longest match for an address, now or at a past time.

    Filters choose among these. In each a comma is OR, a leading ! excludes.
    """
    from bgpledger.questions.routes import RibBatchesQuestion

    return _rib_command(where, RibBatchesQuestion(address, filters, match="longest", at=at, limit=limit), form)


def _rib_command(where: Where, question: RibBatchesQuestion, form: EntryFormat) -> QueryCommand:
    from collector.cli.query_command import QueryCommand
    from schemas.query import Route

    hidden: list[str] = []
    question.on_hidden = hidden.append
    return QueryCommand(
        *(where, question, Route, form),
        none=lambda: _why_none(question, hidden),
        at=question.moment,
        counts="entries read",
    )


def _why_none(question: RibBatchesQuestion, hidden: Sequence[str]) -> str:
    """The note for when nothing was printed.

    Args:
        question: the query.
        hidden: the peers whose lost lines may hide a route, which some formats cannot show.
    """
    stands = "stood then" if question.moment else "stands"
    if hidden:
        return (
            f"whether a route to {question.prefix} {stands} is not known: lines of {', '.join(hidden)} were lost"
            f" (bgpledger history {question.prefix} shows when)"
        )
    return f"no route {_conditions(question)}{stands}"


def _conditions(question: RibBatchesQuestion) -> str:
    from collector.query.filters import Filter

    within = "within" if question.match == "more_specific" else "to"
    words = f"{within} {question.prefix} " if question.prefix else ""
    return words if question.filters == Filter() else f"{words}that passes these filters "
