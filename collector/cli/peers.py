"""`bgpledger peers`: how the peers stand."""

from __future__ import annotations

import typer

from collector.cli.options import AnswerFormat, DataDir, FormatOfAnswers, MongodbUri, chosen


def command(
    ctx: typer.Context,
    form: FormatOfAnswers = AnswerFormat.TABLE,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
) -> None:
    """Show each peer: its session's state and since when, its last keepalive, its updates and routes."""
    import sys

    from collector.cli.asking import answer
    from collector.present.formats import Format
    from collector.query.peers import peers
    from collector.query.running import find_running
    from schemas.query import PeerStatus

    settings = chosen(ctx, data_dir, mongodb_uri)
    running = find_running(settings.data_dir)
    configured = running.peers if running else ()
    if not answer(settings, lambda store: peers(store, configured), PeerStatus, Format(form)):
        sys.stderr.write("no peer is configured, and none has ever had a session\n")
