"""`bgpledger shell`: mongosh on the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from collector.cli.options import DataDir, MongodbUri, MongodbUriFile, chosen

if TYPE_CHECKING:
    from collector.settings.model import Settings

_VARIABLE = "BGPLEDGER_SHELL_URI"
_CONNECT = f"void (db = connect(process.env.{_VARIABLE})); delete process.env.{_VARIABLE};"
_SCRIPTS = ("--eval", "--file", "-f")


def command(
    ctx: typer.Context,
    data_dir: DataDir = None,
    mongodb_uri: MongodbUri = None,
    mongodb_uri_file: MongodbUriFile = None,
) -> None:
    """Start mongosh on the archive; `db` is its database. Other arguments are passed to mongosh: --quiet --file FILE.

    The URI and password are passed in the environment, since every user of the machine can read arguments.
    """
    import asyncio

    status = asyncio.run(_run(chosen(ctx, data_dir, mongodb_uri, mongodb_uri_file), ctx.args))
    raise typer.Exit(status)


async def _run(settings: Settings, arguments: list[str]) -> int:
    import asyncio
    import os
    import shutil
    import signal

    from collector.errors import CollectorError
    from collector.query.find_store import find_uri
    from collector.store.credentials import options_for
    from collector.store.uri import with_database

    mongosh = shutil.which("mongosh")
    if mongosh is None:
        raise CollectorError(
            "mongosh is not installed, or not in PATH",
            "install it: https://www.mongodb.com/docs/mongodb-shell/install/",
        )
    scripted = any(argument.partition("=")[0] in _SCRIPTS or argument.endswith(".js") for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for mongosh
    async with find_uri(settings, share=True) as (uri, database):
        own = options_for(uri)
        begins = with_database(uri, database, (own["username"], own["password"]) if own else None)
        process = await asyncio.create_subprocess_exec(
            *(mongosh, "--nodb", *([] if scripted else ["--shell"]), "--eval", _CONNECT, *arguments),
            env={**os.environ, _VARIABLE: begins},
        )
        return await process.wait()
