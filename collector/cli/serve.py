"""`bgpledger serve`: pages and the HTTP API by themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.options import Config, DataDir, MongodbUri, MongodbUriFile, chosen

_NICE = 10
"""Of a collector's own server: archiving goes first."""


def command(
    ctx: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
    listen: Annotated[
        str | None, typer.Option(help="Where to answer; also BGPLEDGER_HTTP_LISTEN.", metavar="ADDR:PORT")
    ] = None,
    commands: Annotated[
        bool, typer.Option("--commands", help="Answer this user's commands too, as its collector.", hidden=True)
    ] = False,
) -> None:
    """Answer over HTTP: pages for people, an API for programs. Until Ctrl-C.

    `bgpledger run` does so by itself, in a process of its own; beside it, or elsewhere with a MongoDB URI, as many of
    these may run as are wanted.
    """
    import asyncio
    import os

    from collector.cli.for_others import prepare, read
    from collector.cli.run_query import collect_rarely
    from collector.http.server import serve
    from collector.logs import log_to_stderr

    settings = chosen(ctx, data_dir, mongodb_uri, mongodb_uri_file, config=config, http=listen)
    log_to_stderr(settings.log.level)
    collect_rarely()
    if commands:
        prepare()
        os.nice(_NICE)
    asyncio.run(serve(settings, read if commands else None))
