"""Instances: one receiver of one source, and its spool; there may be several for each source.

The first instance has the names that a collector with a single one uses, and the others add their number to them.
Those of sources beside ExaBGP add their source ahead of it: `spool`, `spool-1`, `spool-bmp`, `spool-bmp-1`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from collector.errors import CollectorError

UNNAMED = "exabgp"
"""The source that names do not tell: it was the only one once."""
_NUMBER = re.compile(r"(?:-([1-9]\d{0,3}))?")


class Instance(NamedTuple):
    """One receiver and its spool: where its files are in the data directory."""

    data_dir: Path
    number: int = 0
    source: str = UNNAMED

    @property
    def label(self) -> str:
        """What tells it from the collector's others, also in keys: ``, `1`, `bmp`, `bmp-1`."""
        parts = (self.source if self.source != UNNAMED else "", str(self.number or ""))
        return "-".join(filter(None, parts))

    @property
    def spool(self) -> Path:
        """The spool's directory."""
        return self.data_dir / self.named("spool")

    def named(self, name: str) -> str:
        """A name that all instances use, as this one's own."""
        return f"{name}-{self.label}" if self.label else name


def instances_of(source: str, data_dir: Path, configured: int) -> list[Instance]:
    """Every instance of a source that is configured or has a spool, in their order: also one that is no longer wanted.

    Args:
        source: its name.
        data_dir: the collector's data directory.
        configured: how many are.

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
    first = Instance(data_dir, 0, source).spool.name
    behind = [name.removeprefix(first) for name in names if name.startswith(first)]
    left = {int(found[1] or 0) for rest in behind if (found := _NUMBER.fullmatch(rest))}
    return [Instance(data_dir, number, source) for number in sorted(left | set(range(configured)))]
