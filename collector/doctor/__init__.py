"""Checks the machine and the configuration: one result for each check, with a cure for each problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.doctor.archivers import examine_archivers
from collector.doctor.machine import examine_machine
from collector.doctor.peers import examine_peers
from collector.doctor.result import CheckResult
from collector.doctor.settings import examine_settings
from collector.doctor.store import examine_store
from collector.query.running import find_running
from collector.settings.model import Settings


def examine(settings: Settings, config: Path | None = None) -> Iterator[CheckResult]:
    """Check everything that a collector with these settings needs; slow checks come last.

    Args:
        settings: the collector's settings.
        config: the file that they come from, for messages.
    """
    running = find_running(settings.data_dir)
    yield from examine_machine(settings.exabgp.python)
    yield from examine_settings(settings, config, running)
    yield from examine_store(settings, running)
    if running:
        yield from examine_archivers(settings.data_dir, running)
        yield from examine_peers(settings, running)
