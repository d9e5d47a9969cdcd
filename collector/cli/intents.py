"""`bgpledger intents`: what this collector announces, and the state of each."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from collector.cli.options import FormatOfAnswers, query_command


@query_command
def command(
    where: Any,
    prefix: Annotated[str | None, typer.Argument(help="Only this prefix.", metavar="PREFIX")] = None,
    at: Annotated[str | None, typer.Option(help="At this time.", metavar="T")] = None,
    ended: Annotated[
        bool, typer.Option("--all", help="Also those that have ended: withdrawn, expired, replaced, failed.")
    ] = False,
    form: FormatOfAnswers = "table",
) -> Any:
    """Show what we announce, to whom, who ordered it and why, newest last."""
    from bgpledger.questions.summaries import IntentsQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.intents import Intent

    return QueryCommand(
        *(where, IntentsQuestion(prefix, at=at, ended=ended), Intent, form),
        none=lambda: "nothing is announced" if at is None else "nothing was announced then",
    )
