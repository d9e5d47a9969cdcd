"""`bgpledger config`: what the collector is told, and what it tells ExaBGP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from collector.cli.options import Config, DataDir, MongodbUri, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.settings import Settings

app = typer.Typer(help="Check the configuration, or show what becomes of it.", no_args_is_help=True)


@app.command("check")
def check(ctx: typer.Context, config: Config = None, data_dir: DataDir = None, mongodb_uri: MongodbUri = None) -> None:
    """Say whether the configuration can be used, and what it comes to; warnings go to stderr."""
    from collector.wire.exabgp import render

    settings = chosen(ctx, data_dir, mongodb_uri, config=config)
    render(settings, [])  # passwords that cannot be read, peers that cannot come to where we listen
    sys.stdout.writelines(f"{name:<10}{value}\n" for name, value in _summary(settings).items())
    sys.stderr.writelines(f"warning: {text}\n" for text in _warnings(settings))


@app.command("exabgp")
def exabgp(ctx: typer.Context, config: Config = None, data_dir: DataDir = None, mongodb_uri: MongodbUri = None) -> None:
    """Print the exabgp.conf that would be used, without MD5 passwords; each, where there are several processes."""
    from collector.daemon import receiver_command  # the very command that `run` gives ExaBGP
    from collector.lanes import Lane
    from collector.wire.exabgp import render
    from collector.wire.spread import Spread

    settings = chosen(ctx, data_dir, mongodb_uri, config=config)
    several = settings.exabgp.processes > 1
    for lane, part in enumerate(Spread(settings.exabgp.processes).part(settings)):
        heading = f"# {Lane(settings.data_dir, lane).exabgp_conf}\n" if several else ""
        sys.stdout.write(heading + render(part, receiver_command(settings, lane), show_secrets=False))


def _summary(settings: Settings) -> dict[str, str]:
    from collector.store.uri import redact

    ranges = sum(peer.is_range for peer in settings.peers)
    uri = settings.mongodb.uri
    return {
        "collector": settings.collector,
        "data": str(settings.data_dir),
        "local AS": str(settings.bgp.local_as or "none"),
        "router ID": settings.bgp.router_id,
        "listen": settings.bgp.listen,
        "peers": f"{len(settings.peers) - ranges}, and {ranges} ranges",
        **_processes(settings),
        "store": f"{redact(uri.get_secret_value())} {settings.mongodb.database}" if uri else "embedded",
    }


def _processes(settings: Settings) -> dict[str, str]:
    """Which of our addresses went to which process, if there are several."""
    from collector.wire.exabgp import local_addresses
    from collector.wire.spread import Spread

    if settings.exabgp.processes == 1:
        return {}
    parts = Spread(settings.exabgp.processes).part(settings)
    shares = [
        f"{len(part.peers)} at {', '.join(sorted(set(local_addresses(part))))}" if part.peers else "none"
        for part in parts
    ]
    return {"processes": f"{len(parts)}, with peers: {'; '.join(shares)}"}


def _warnings(settings: Settings) -> Iterator[str]:
    from collector.settings.model import ALL_ADDRESSES
    from collector.wire.exabgp import unchecked_peers
    from collector.wire.spread import too_many_processes

    if any(address in ALL_ADDRESSES for address in settings.bgp.listen_addresses):
        yield f"bgp.listen is {settings.bgp.listen}: all networks can reach it; limit that by a firewall"
    for peer in unchecked_peers(settings):
        yield (
            f"peer {peer.address}: its ttl_security holds for connections that we make, not for those that it makes:"
            " peers of the same local address have another"
        )
    if idle := too_many_processes(settings):
        yield idle
    if not settings.peers:
        yield "there are no peers: add [[peers]], or run with --peer ADDR,AS"
