"""`bgpledger peers`: the state of the peers."""

from __future__ import annotations

from typing import Any

from collector.cli.options import FormatOfAnswers, query_command


@query_command
def command(where: Any, form: FormatOfAnswers = "table") -> Any:
    """Show each peer: its state and since when, its last keepalive, updates and routes, and why it is not up."""
    from bgpledger.questions.summaries import PeersQuestion
    from collector.cli.query_command import QueryCommand
    from schemas.status import PeerStatus

    return QueryCommand(
        *(where, PeersQuestion(), PeerStatus, form),
        none=lambda: "no peer is configured, and none has ever had a session",
    )
