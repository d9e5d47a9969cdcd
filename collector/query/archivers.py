"""The state of each spool of a collector, and of its archiver."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from collector.archive.outage import state_file
from collector.children import lives
from collector.errors import BgpledgerError
from collector.instances import Instance
from collector.sources.known import SOURCES, find_instances
from collector.sources.source import Rejection
from collector.spool.framing import unframe
from collector.spool.position import saved_at
from collector.spool.state import SpoolState, bytes_waiting
from schemas.archiver import ArchiverState
from schemas.scalars import spoken
from schemas.status import SpoolStatus

_STUCK = timedelta(minutes=2)
"""Seconds after which an archiver that has stored none of the waiting lines is stuck: a write takes a minute at
most."""
_MUCH_WAITS = 4 * 2**20
"""Bytes: more than comes in between two acknowledgements, a second apart, while a router sends its whole table."""
_LATELY = timedelta(seconds=30)


def is_behind(data_dir: Path) -> bool:
    """Whether an archiver of the collector on a data directory is storing lines, and much still waits for it."""
    with suppress(BgpledgerError, OSError):  # another user's, or a segment was removed meanwhile
        return any(_is_behind(instance.spool) for instance in find_instances(data_dir))
    return False


def _is_behind(spool: Path) -> bool:
    stored_at = saved_at(spool)
    return stored_at is not None and stored_at > datetime.now(UTC) - _LATELY and bytes_waiting(spool) > _MUCH_WAITS


def spool_status(instance: Instance, spool: SpoolState) -> SpoolStatus:
    """One spool, and the archiver that reads it.

    Args:
        instance: the instance of the spool.
        spool: its state as inspected.
    """
    state = _running(instance)
    return SpoolStatus(
        spool=instance.spool.name,
        waiting=spool.waiting,
        lag_seconds=_age(instance, spool.oldest_waiting),
        archiver=state.pid if state else None,
        last_stored=spool.acknowledged_at,
    )


def stuck(spool: SpoolStatus, started: datetime | None) -> str | None:
    """What is wrong with a spool's archiver while a collector runs; None if nothing is.

    Args:
        spool: the spool's status.
        started: when the collector was started.
    """
    began = max((moment for moment in (spool.last_stored, started) if moment), default=None)
    quiet = datetime.now(UTC) - began if began else timedelta.max
    if not spool.waiting or quiet < _STUCK or spool.lag_seconds < _STUCK.total_seconds():
        return None
    since = f" since {spoken(spool.last_stored)} UTC" if spool.last_stored else ""
    who = f"process {spool.archiver}" if spool.archiver else "which does not run"
    return f"the archiver of {spool.spool}, {who}, has stored nothing{since}; {spool.waiting} lines wait"


def outages(instances: Sequence[Instance]) -> dict[str, Any]:
    """The status fields that all archivers share: the store counts as unavailable while it is for any of them.

    If several have an outage, the one that began first is reported.
    """
    states = [state for instance in instances if (state := _running(instance))]
    away = [(since, at) for at, state in enumerate(states) if (since := state.store_away_since)]
    first = states[min(away)[1]].model_dump(exclude={"pid", "building"}) if away else {}
    return {**first, "building": next((state.building for state in states if state.building), None)}


def _running(instance: Instance) -> ArchiverState | None:
    """The state that an instance's archiver reports, if it is running."""
    with suppress(OSError, ValidationError):
        state = ArchiverState.model_validate_json(state_file(instance).read_bytes())
        return state if lives(state.pid) else None
    return None


def _age(instance: Instance, line: bytes | None) -> float:
    """How many seconds ago a line was written; 0 if there is none, or if it has no time."""
    if line is None:
        return 0.0
    source = SOURCES[instance.source]
    message = source.decode(unframe(line) if source.binary else line)
    ts = None if isinstance(message, Rejection) else getattr(message, "ts", None)
    return max(0.0, (datetime.now(UTC) - ts).total_seconds()) if ts else 0.0
