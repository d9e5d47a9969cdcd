"""`bgpledger config`: checks the configuration, and prints what is generated for ExaBGP."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from collector.cli.options import FormatOfAnswers, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.settings.model import Settings
    from schemas.status import ConfigurationSummary

app = typer.Typer(help="Check the configuration, or print exabgp.conf.", no_args_is_help=True)


@app.command("check", short_help="Check the configuration.")
@partial(with_settings, config=True)
def check(settings: Any, form: FormatOfAnswers = "table") -> None:
    """Check the configuration, and print a summary of it; warnings go to stderr."""
    from collector.cli.run_query import show
    from collector.sources.exabgp.configuration import render
    from schemas.status import ConfigurationSummary

    render(settings, [])  # passwords that cannot be read, peers that cannot connect to our addresses
    found = _summary(settings)
    if form == "table":
        sys.stdout.writelines(f"{name:<10}{value}\n" for name, value in _in_words(found).items())
    else:
        show([found], ConfigurationSummary, form)
    sys.stderr.writelines(f"warning: {text}\n" for text in _warnings(settings))


@app.command("exabgp", short_help="Print the exabgp.conf generated from it.")
@partial(with_settings, config=True)
def exabgp(settings: Any) -> None:
    """Print the exabgp.conf generated from the configuration, without MD5 passwords; one for each process."""
    from collector.daemon import receiver_command, relay_command  # the exact commands that `run` gives ExaBGP
    from collector.instances import Instance
    from collector.sources.exabgp.configuration import render
    from collector.sources.exabgp.files import configuration_file
    from collector.sources.exabgp.placement import Placement

    several = settings.exabgp.processes > 1
    for instance, part in enumerate(Placement(settings.exabgp.processes).part(settings)):
        heading = f"# {configuration_file(Instance(settings.data_dir, instance))}\n" if several else ""
        helpers = receiver_command(settings, instance), relay_command(settings, instance)
        sys.stdout.write(heading + render(part, *helpers, show_secrets=False))


def _summary(settings: Settings) -> ConfigurationSummary:
    from collector.store.uri import redact
    from schemas.status import ConfigurationSummary

    ranges = sum(peer.is_range for peer in settings.peers)
    uri = settings.mongodb.uri
    return ConfigurationSummary(
        collector=settings.collector,
        data_dir=str(settings.data_dir),
        local_as=settings.bgp.local_as,
        router_id=settings.bgp.router_id,
        listen=settings.bgp.listen,
        peers=len(settings.peers) - ranges,
        ranges=ranges,
        processes=_processes(settings),
        store=f"{redact(uri.get_secret_value())} {settings.mongodb.database}" if uri else "embedded",
    )


def _processes(settings: Settings) -> list[str]:
    """Which process has which of our addresses."""
    from collector.sources.exabgp.local_ends import local_addresses
    from collector.sources.exabgp.placement import Placement

    return [
        f"{len(part.peers)} at {', '.join(sorted(set(local_addresses(part))))}" if part.peers else "none"
        for part in Placement(settings.exabgp.processes).part(settings)
    ]


def _in_words(found: ConfigurationSummary) -> dict[str, str]:
    several = len(found.processes)
    return {
        "collector": found.collector,
        "data": found.data_dir,
        "local AS": str(found.local_as or "none"),
        "router ID": found.router_id,
        "listen": found.listen,
        "peers": f"{found.peers}, and {found.ranges} ranges",
        **({"processes": f"{several}, with peers: {'; '.join(found.processes)}"} if several > 1 else {}),
        "store": found.store,
    }


def _warnings(settings: Settings) -> Iterator[str]:
    from collector.settings.section import ALL_ADDRESSES
    from collector.sources.exabgp.local_ends import unchecked_peers
    from collector.sources.exabgp.placement import too_many_processes

    if any(address in ALL_ADDRESSES for address in settings.bgp.listen_addresses):
        yield f"bgp.listen is {settings.bgp.listen}: all networks can reach it; limit that by a firewall"
    for peer in unchecked_peers(settings):
        yield (
            f"peer {peer.address}: its ttl_security holds for connections that we make, not for those that it makes:"
            " peers of the same local address have another"
        )
    if idle := too_many_processes(settings):
        yield idle
    if not settings.peers and not settings.ris_live.is_on:
        yield "there are no peers: add [[peers]], or run with --peer ADDR,AS"
