"""`bgpledger peers`: how the peers stand."""

from __future__ import annotations

from typing import Any

from collector.cli.options import FormatOfAnswers, with_settings


@with_settings
def command(settings: Any, form: FormatOfAnswers = "table") -> None:
    """Show each peer: its state and since when, its last keepalive, its updates and routes, and why it is not up."""
    import sys

    from bgpledger.questions.summaries import PeersQuestion
    from collector.cli.run_query import answer
    from schemas.status import PeerStatus

    if answer(settings, PeersQuestion(), PeerStatus, form):
        sys.stderr.write("no peer is configured, and none has ever had a session\n")
