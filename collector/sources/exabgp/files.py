"""The files of an ExaBGP instance in the data directory, apart from its spool."""

from __future__ import annotations

from pathlib import Path

from collector.instances import Instance


def configuration_file(instance: Instance) -> Path:
    """ExaBGP's configuration."""
    return instance.data_dir / f"{instance.named('exabgp')}.conf"


def strangers_file(instance: Instance) -> Path:
    """The routers that connected to its ExaBGP without being configured, see `collector.sources.exabgp.strangers`."""
    return instance.data_dir / f"{instance.named('strangers')}.json"


def requests_pipe(instance: Instance) -> Path:
    """The pipe to its receiver, see `collector.sources.exabgp.route_refresh`."""
    return instance.data_dir / instance.named("requests")


def acting_socket(data_dir: Path) -> Path:
    """The acting process's socket, for orders and for the relays of all instances."""
    return data_dir / "acting.sock"


def reloads_file(instance: Instance) -> Path:
    """The number of its ExaBGP's reloads, see `collector.sources.exabgp.reloads`."""
    return instance.data_dir / instance.named("reloads")
