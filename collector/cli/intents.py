"""`bgpledger intents`: what this collector is to announce, and what has become of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from collector.cli.options import FormatOfAnswers, that_asks


@that_asks
def command(
    where: Any,
    prefix: Annotated[str | None, typer.Argument(help="Only this prefix.")] = None,
    at: Annotated[str | None, typer.Option(help="At this time.", metavar="T")] = None,
    ended: Annotated[
        bool, typer.Option("--all", help="Also those that have ended: withdrawn, expired, replaced, failed.")
    ] = False,
    form: FormatOfAnswers = "table",
) -> Any:
    """Show what we announce, to whom, who ordered it and why, newest last."""
    from bgpledger.questions.summaries import IntentsQuestion
    from collector.cli.query_command import Asked
    from schemas.intents import Intent

    return Asked(
        *(where, IntentsQuestion(prefix, at=at, ended=ended), Intent, form),
        none=lambda: "nothing is announced" if at is None else "nothing was announced then",
    )
