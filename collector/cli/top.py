"""`bgpledger top`: of which prefixes, origins, peers or paths most was said."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from collector.cli.filters import with_filters
from collector.cli.options import FormatOfAnswers, with_settings


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

    from bgpledger.questions.summaries import TopQuestion
    from collector.cli.progress import progress
    from collector.cli.run_query import answer
    from schemas.query import TopEntry

    order: Any = by.replace("-", "_")
    question = TopQuestion(what.value, order, filters, limit=limit)
    with progress() as shown:
        question.progress = shown.reach
        nothing = answer(settings, question, TopEntry, form, first=shown.end)
    if nothing:
        sys.stderr.write("nothing that is known passes these filters\n")
