"""The sources that there are: a new one is its own folder, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Source

SOURCES: Mapping[str, Source] = {source.name: source for source in (EXABGP,)}
"""By their names."""
