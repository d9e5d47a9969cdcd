"""The archivers of a running collector: whether each stores what its spool holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from collector.doctor.result import CheckResult
from collector.errors import BgpledgerError
from collector.query.archivers import spool_status, stuck
from collector.query.running import RunningCollector
from collector.sources.known import find_instances
from collector.spool.state import inspect


def examine_archivers(data_dir: Path, running: RunningCollector) -> Iterator[CheckResult]:
    """Check the archiver of each spool.

    Args:
        data_dir: the collector's data directory.
        running: the collector that runs on it.
    """
    with suppress(BgpledgerError):  # the check of the data directory reports what cannot be read
        for instance in find_instances(data_dir):
            found = spool_status(instance, inspect(instance.spool))
            if wrong := stuck(found, running.started):
                cure = "see the log for why it ends"
                if found.archiver:
                    cure = f"see the log; kill -9 {found.archiver} ends it, and another is started"
                yield CheckResult("error", "archiver", wrong, cure)
            elif found.archiver is None:
                yield CheckResult("warning", "archiver", f"{found.spool} has none at the moment", "see the log")
            else:
                waiting = f"{found.waiting} lines wait" if found.waiting else "no line waits"
                yield CheckResult("ok", "archiver", f"{found.spool}: process {found.archiver}, {waiting}")
