"""`bgpledger serve`: pages and the HTTP API alone."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.options import Config, DataDir, MongodbUri, MongodbUriFile, chosen

_NICE = 10
"""For a collector's own server, as archiving has priority."""


def command(
    ctx: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
    listen: Annotated[
        str | None, typer.Option(help="The address and port; also BGPLEDGER_HTTP_LISTEN.", metavar="ADDR:PORT")
    ] = None,
    commands: Annotated[
        bool, typer.Option("--commands", help="Also answer this user's commands.", hidden=True)
    ] = False,
) -> None:
    """Serve pages and the HTTP API, until Ctrl-C.

    `bgpledger run` starts one by itself. More of them may run next to it, or elsewhere with a MongoDB URI.
    """
    import asyncio
    import os

    from collector.cli.command_server import prepare, read
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
