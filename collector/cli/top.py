"""`bgpledger top`: of which prefixes, origins, peers or paths most was said."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfAnswers, with_settings

if TYPE_CHECKING:
    from bgpledger import Answers, Archive
    from schemas.query import TopEntry


class _What(StrEnum):
    PREFIXES = "prefixes"
    ORIGINS = "origins"
    PEERS = "peers"
    PATHS = "paths"


class _By(StrEnum):
    ANNOUNCEMENTS = "announcements"
    WITHDRAWALS = "withdrawals"
    FLAPS = "flaps"
    PATH_CHANGES = "path-changes"
    MALFORMED = "malformed"


@with_settings
@partial(with_filters, prefixes=True)
def command(
    what: Annotated[_What, typer.Argument(help="What to count.")],
    filters: Any,
    settings: Any,
    by: Annotated[_By, typer.Option(help="What makes the order.")] = _By.ANNOUNCEMENTS,
    limit: Annotated[int, typer.Option(min=1, help="Only the first N.", metavar="N")] = 10,
    form: FormatOfAnswers = "table",
) -> None:
    """Show of which prefixes, origins, peers or paths most was said.

    A flap is an announcement of a route that its peer had withdrawn, a path change one with another AS path than the
    one before, malformed one with malformed attributes (RFC 7606). Without a time the whole archive is read. In a
    filter a comma is OR, a leading ! excludes.
    """
    import sys

    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from collector.query.top import check_countable
    from schemas.query import TopEntry

    order: Any = by.replace("-", "_")
    check_countable(order, filters)

    def ask(archive: Archive) -> Answers[TopEntry]:
        return archive.top(what.value, order, filters, limit=limit, progress=shown.reach)

    with progress() as shown:
        nothing = answer(settings, ask, TopEntry, form, first=shown.end)
    if nothing:
        sys.stderr.write("nothing that is known passes these filters\n")
