"""`bgpledger convergence`: how long our announcements and withdrawals took to reach each peer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from collector.cli.options import FormatOfAnswers, query_command


@query_command
def command(
    where: Any,
    intent: Annotated[str, typer.Argument(help="The id of an intent, as `intents` shows it.", metavar="ID")],
    form: FormatOfAnswers = "table",
) -> Any:
    """Show when each peer first announced an intent's prefix and last withdrew it, in seconds after our orders.

    Includes all peers in this archive, also those of other collectors.
    """
    from bgpledger.questions.summaries import ConvergenceQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.query import PeerConvergence

    return QueryCommand(
        *(where, ConvergenceQuestion(intent), PeerConvergence, form),
        none=lambda: "no peer has announced its prefix since it was ordered",
    )
