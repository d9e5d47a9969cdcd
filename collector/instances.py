"""Instances: a collector may have several ExaBGP processes (`exabgp.processes`), each with its own receiver and spool.

The first instance has the names that a collector with a single one uses; the others add their number to them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from collector.errors import CollectorError

_SPOOL = re.compile(r"spool-([1-9]\d{0,3})")


class Instance(NamedTuple):
    """One ExaBGP, its receiver and their spool: where its files are in the data directory."""

    data_dir: Path
    number: int = 0

    @property
    def spool(self) -> Path:
        """The spool's directory."""
        return self.data_dir / self.named("spool")

    @property
    def exabgp_conf(self) -> Path:
        """ExaBGP's configuration."""
        return self.data_dir / f"{self.named('exabgp')}.conf"

    @property
    def strangers(self) -> Path:
        """Who connected to its ExaBGP without being configured, see `collector.sources.exabgp.strangers`."""
        return self.data_dir / f"{self.named('strangers')}.json"

    @property
    def requests(self) -> Path:
        """The pipe to its receiver, see `collector.sources.exabgp.route_refresh`."""
        return self.data_dir / self.named("requests")

    def named(self, name: str) -> str:
        """A name that all instances use, as this one's own."""
        return f"{name}-{self.number}" if self.number else name


def find_instances(data_dir: Path, processes: int = 1) -> list[Instance]:
    """Every instance that is configured or has a spool, in their order: also one that is no longer wanted.

    Raises:
        CollectorError: the data directory cannot be read.
    """
    try:
        names = [entry.name for entry in data_dir.iterdir()]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise CollectorError(
            f"the data directory {data_dir} cannot be read: {error.strerror}", "ask as the collector's user, or root"
        ) from error
    left = {int(found[1]) for name in names if (found := _SPOOL.fullmatch(name))}
    return [Instance(data_dir, number) for number in sorted(left | set(range(processes)))]
