"""Instances: one receiver of one source, and its spool; there may be several for each source.

The first instance uses the names of a collector with a single one, and the others append their number. Sources other
than ExaBGP append their name first: `spool`, `spool-1`, `spool-bmp`, `spool-bmp-1`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from collector.errors import CollectorError

UNNAMED = "exabgp"
"""The source that is not part of names, because it was once the only one."""
_NUMBER = re.compile(r"(?:-([1-9]\d{0,3}))?")


class Instance(NamedTuple):
    """One receiver and its spool: where its files are in the data directory."""

    data_dir: Path
    number: int = 0
    source: str = UNNAMED

    @property
    def label(self) -> str:
        """What distinguishes it from the collector's others, also in keys: ``, `1`, `bmp`, `bmp-1`."""
        parts = (self.source if self.source != UNNAMED else "", str(self.number or ""))
        return "-".join(filter(None, parts))

    @property
    def spool(self) -> Path:
        """The spool's directory."""
        return self.data_dir / self.named("spool")

    def named(self, name: str) -> str:
        """This instance's form of a name that all instances use."""
        return f"{name}-{self.label}" if self.label else name


def instances_of(source: str, data_dir: Path, configured: int) -> list[Instance]:
    """All instances of a source that are configured or have a spool, in order, including those no longer configured.

    Args:
        source: the source's name.
        data_dir: the collector's data directory.
        configured: the number of configured instances.

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
    rests = [name.removeprefix(first) for name in names if name.startswith(first)]
    left = {int(found[1] or 0) for rest in rests if (found := _NUMBER.fullmatch(rest))}
    return [Instance(data_dir, number, source) for number in sorted(left | set(range(configured)))]
