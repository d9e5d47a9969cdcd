"""`bgpledger peers`: how the peers stand."""

from __future__ import annotations

import typer

from collector.cli.options import DataDir, FormatOfAnswers, MongodbUri, MongodbUriFile, chosen


def command(
    ctx: typer.Context,
    form: FormatOfAnswers = "table",
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
) -> None:
    """Show each peer: its state and since when, its last keepalive, its updates and routes, and why it is not up."""
    import sys

    from collector.cli.run_query import answer
    from collector.query.peers import peers_here
    from schemas.query import PeerStatus

    settings = chosen(ctx, data_dir, mongodb_uri, mongodb_uri_file)
    if answer(settings, lambda store: peers_here(store, settings.data_dir), PeerStatus, form):
        sys.stderr.write("no peer is configured, and none has ever had a session\n")
