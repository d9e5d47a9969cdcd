"""The list of sources, and their instances: a new source is a folder, and an entry in this list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.instances import UNNAMED, Instance, instances_of
from collector.settings.model import Settings
from collector.sources.bmp.source import BMP
from collector.sources.exabgp.source import EXABGP
from collector.sources.mrt.source import MRT
from collector.sources.pcap.source import PCAP
from collector.sources.ris_live.source import RIS_LIVE
from collector.sources.ris_live.state import FeedState, read_state
from collector.sources.source import Source
from schemas.stored import OtherSourceDocument, SourceDocument

SOURCES: Mapping[str, Source] = {source.name: source for source in (EXABGP, BMP, MRT, PCAP, RIS_LIVE)}
"""By their names."""


def source_of(facts: SourceDocument | OtherSourceDocument) -> Source:
    """The source of a document, by its field `source`."""
    return SOURCES[str(facts.get("name", UNNAMED))]


def find_instances(data_dir: Path, settings: Settings | None = None) -> list[Instance]:
    """Every instance that is configured or has a spool, by source, including those no longer configured.

    Args:
        data_dir: the collector's data directory.
        settings: the configuration; None: every instance that has a spool, and always the first one.

    Raises:
        CollectorError: the data directory cannot be read.
    """
    return [
        instance
        for name, source in SOURCES.items()
        for instance in instances_of(name, data_dir, source.configured(settings) if settings else name == UNNAMED)
    ]


def find_feed(data_dir: Path) -> FeedState | None:
    """The last state that the receiver of a feed reported of its connection; None if there is none."""
    return read_state(data_dir)
