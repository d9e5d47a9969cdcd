"""`bgpledger relay`: passes commands to ExaBGP, which starts it."""

from __future__ import annotations

import os

import typer

from collector.cli.options import DataDir, ExabgpInstance, chosen


def command(
    ctx: typer.Context,
    instance: ExabgpInstance = 0,
    data_dir: DataDir = None,
) -> None:
    """Pass commands from `bgpledger act` to ExaBGP, and its answers back. ExaBGP starts this; people rarely do."""
    from collector.sources.exabgp.files import acting_socket
    from collector.sources.exabgp.receiver_events import incarnation
    from collector.sources.exabgp.relay import Relay, hello

    exabgp = os.getppid()
    Relay(acting_socket(chosen(ctx, data_dir).data_dir), hello(instance, incarnation(exabgp) or str(exabgp))).run()
