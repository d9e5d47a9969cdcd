"""`bgpledger rib` and `bgpledger lookup`: the routes that stand, or stood."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfEntries, LessSpecific, Limit, MoreSpecific, prefix_match, with_settings
from collector.present.names import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgpledger.questions.routes import RibBatchesQuestion
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
    from bgpledger.questions.routes import RibBatchesQuestion

    match = prefix_match(more_specific, less_specific) or "exact"
    _show(settings, RibBatchesQuestion(prefix, filters, match=match, at=at, limit=limit), form)


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
    from bgpledger.questions.routes import RibBatchesQuestion

    _show(settings, RibBatchesQuestion(address, filters, match="longest", at=at, limit=limit), form)


def _show(settings: Settings, question: RibBatchesQuestion, form: EntryFormat) -> None:
    import sys

    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from schemas.query import Route

    hidden: list[str] = []
    question.on_hidden = hidden.append
    with progress(among_answers=True, of="entries read") as shown:
        question.progress = shown.reach
        nothing = answer(settings, question, Route, form, at=question.moment)
    if nothing:
        sys.stderr.write(_why_none(question, hidden))


def _why_none(question: RibBatchesQuestion, hidden: Sequence[str]) -> str:
    """What is said when nothing was printed.

    Args:
        question: what was asked.
        hidden: the peers whose lost lines may hide a route, which some formats have no words for.
    """
    stands = "stood then" if question.moment else "stands"
    if hidden:
        return (
            f"whether a route to {question.prefix} {stands} is not known: lines of {', '.join(hidden)} were lost"
            f" (bgpledger history {question.prefix} shows when)\n"
        )
    return f"no route {_asked_for(question)}{stands}\n"


def _asked_for(question: RibBatchesQuestion) -> str:
    from collector.query.filters import Filter

    within = "within" if question.match == "more_specific" else "to"
    words = f"{within} {question.prefix} " if question.prefix else ""
    return words if question.filters == Filter() else f"{words}that passes these filters "
