"""`bgpledger act`: announces and withdraws as ordered; `run` starts it if there is an [announce]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import Config, DataDir, chosen

if TYPE_CHECKING:
    from collector.settings.model import Settings


def command(
    ctx: typer.Context,
    config: Config = None,
    peer: Annotated[list[str] | None, typer.Option(help="A further peer; may be repeated.", metavar="ADDR,AS")] = None,
    data_dir: DataDir = None,
) -> None:
    """Take orders and have ExaBGP carry them out, until stopped; `bgpledger run` starts this by itself.

    What is to be announced is kept on disk, and survives this process, ExaBGP and the store.
    """
    import asyncio

    asyncio.run(_act(chosen(ctx, data_dir, config=config, peers=tuple(peer or ()))))


async def _act(settings: Settings) -> None:
    import asyncio
    import os
    import signal

    from collector.acting.journal import Journal
    from collector.acting.process import Acting
    from collector.errors import ConfigurationError
    from collector.logs import log_to_stderr
    from collector.query.find_store import find_store
    from collector.tasks import end

    os.umask(0o077)
    log_to_stderr(settings.log.level)
    if settings.announce is None:
        raise ConfigurationError(
            "announcing is off: the configuration has no [announce]",
            "list in [announce] which prefixes may be announced",
        )
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with Journal(settings.data_dir / "acting.jsonl") as journal:
        acting = Acting(settings, settings.announce, journal)

        def restart() -> None:
            acting.is_restart = True
            stopping.set()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, restart)
        async with find_store(settings, primary=True, at_rest=False) as store:
            mirroring = asyncio.create_task(acting.mirror.run(store), name="mirror")
            try:
                await acting.run(stopping)
                await acting.mirror.until_written(seconds=2)
            finally:
                await end(mirroring)
