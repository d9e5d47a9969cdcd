"""`bgpledger diff`: how routes changed between two times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfAnswers, Limit, query_command

if TYPE_CHECKING:
    from collector.query.filters import Filter


@query_command
@partial(with_filters, of_routes=True)
def command(
    earlier: Annotated[str, typer.Argument(metavar="T1", help="A time.")],
    later: Annotated[str, typer.Argument(metavar="T2", help="A later one.")],
    filters: Any,
    where: Any,
    prefix: Annotated[
        str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without it, all routes.", metavar="PREFIX")
    ] = None,
    limit: Limit = None,
    form: FormatOfAnswers = "table",
) -> Any:
    """Show which routes appeared, disappeared or changed between two times, and what changed.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, like all output. A change
    matches a filter if the route matches it at either time; a comma is OR, a leading ! excludes.
    """
    from bgpledger.questions.routes import DiffQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.query import RouteChange

    question = DiffQuestion(earlier, later, prefix, filters, limit=limit)
    return QueryCommand(
        *(where, question, RouteChange, form),
        none=lambda: f"no route {_conditions(question.prefix, filters)}changed between these times",
        counts="entries read",
    )


def _conditions(prefix: str | None, filters: Filter) -> str:
    from collector.query.filters import Filter

    words = f"to {prefix} " if prefix else ""
    return words if filters == Filter() else f"{words}that passes these filters "
