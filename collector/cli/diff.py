"""`bgpledger diff`: what became of the routes between two times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfAnswers, Limit, with_settings
from collector.errors import UsageError

if TYPE_CHECKING:
    from bgpledger import Answers, Archive
    from collector.query.filters import Filter
    from schemas.query import RouteChange


@with_settings
@partial(with_filters, standing=True)
def command(
    earlier: Annotated[str, typer.Argument(metavar="T1", help="A time.")],
    later: Annotated[str, typer.Argument(metavar="T2", help="A later one.")],
    filters: Any,
    settings: Any,
    prefix: Annotated[str | None, typer.Argument(help="An IPv4 or IPv6 prefix; without, all routes.")] = None,
    limit: Limit = None,
    form: FormatOfAnswers = "table",
) -> None:
    """Show which routes appeared, went or changed between two times, and in what.

    Times are RFC 3339, unix seconds, "2h" (ago) or "yesterday 14:05"; they are UTC, as all that is printed. A filter
    lets a change through when the route passes it at one of the times; a comma is OR, a leading ! excludes.
    """
    import sys

    from collector.cli.progress import progress
    from collector.cli.run_query import answer, say
    from collector.query.arguments import check_family, parse_prefix, parse_time
    from schemas.query import RouteChange

    before, after = parse_time(earlier), parse_time(later)
    if before is None or after is None or after <= before:
        raise UsageError(f"{later!r} is not after {earlier!r}", "give the earlier time first")
    asked = None if prefix is None else parse_prefix(prefix, say=say)
    check_family(filters, asked)

    def ask(archive: Archive) -> Answers[RouteChange]:
        return archive.diff(before, after, asked, filters, limit=limit, progress=shown.reach)

    with progress(among_answers=True, of="entries read") as shown:
        nothing = answer(settings, ask, RouteChange, form)
    if nothing:
        sys.stderr.write(f"no route {_asked_for(asked, filters)}changed between these times\n")


def _asked_for(prefix: str | None, filters: Filter) -> str:
    from collector.query.filters import Filter

    words = f"to {prefix} " if prefix else ""
    return words if filters == Filter() else f"{words}that passes these filters "
