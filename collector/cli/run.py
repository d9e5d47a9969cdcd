"""`bgpledger run`: the whole collector."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.options import Config, DataDir, MongodbUri, MongodbUriFile, chosen


def command(
    ctx: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
    local_as: Annotated[str | None, typer.Option(help="Our AS number.", metavar="N")] = None,
    listen: Annotated[str | None, typer.Option(help="The address and port for BGP.", metavar="ADDR:PORT")] = None,
    http: Annotated[
        str | None, typer.Option(help="Where to serve pages and the HTTP API; off: not at all.", metavar="ADDR:PORT")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="A peer that connects to us, in addition to those of the file; may be repeated.", metavar="ADDR,AS"
        ),
    ] = None,
) -> None:
    """Run the collector: ExaBGP, receivers, archivers and, without a MongoDB URI, its own store. Until Ctrl-C.

    Pages and the HTTP API are at http://127.0.0.1:8480/, unless [http] says otherwise. SIGHUP reads the
    configuration again, and only affects the sessions of peers that changed.
    """
    import asyncio

    from collector.cli.run_query import collect_rarely
    from collector.daemon import run
    from collector.logs import log_to_stderr
    from collector.settings.model import Settings

    def read() -> Settings:
        return chosen(
            ctx,
            data_dir,
            mongodb_uri,
            mongodb_uri_file,
            config=config,
            local_as=local_as,
            listen=listen,
            http=http,
            peers=tuple(peer or ()),
        )

    settings = read()
    log_to_stderr(settings.log.level)
    collect_rarely()
    asyncio.run(run(settings, config, read, peers=tuple(peer or ())))
