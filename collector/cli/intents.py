"""`bgpledger intents`: what this collector is to announce, and what has become of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from collector.cli.options import FormatOfAnswers, with_settings


@with_settings
def command(
    settings: Any,
    prefix: Annotated[str | None, typer.Argument(help="Only of this prefix.")] = None,
    at: Annotated[str | None, typer.Option(help="As it stood then.", metavar="T")] = None,
    ended: Annotated[
        bool, typer.Option("--all", help="Also what has ended: withdrawn, expired, replaced, failed.")
    ] = False,
    form: FormatOfAnswers = "table",
) -> None:
    """Show what is announced to whom, by whose order and why, newest last."""
    import sys

    from bgpledger.questions.summaries import IntentsQuestion
    from collector.cli.run_query import answer
    from schemas.intents import Intent

    if answer(settings, IntentsQuestion(prefix, at=at, ended=ended), Intent, form):
        sys.stderr.write("nothing is announced\n" if at is None else "nothing was announced then\n")
