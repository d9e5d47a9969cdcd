"""The state of the collector: what the spools have received, what the store has, and what is waiting."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.children import lives
from collector.errors import StoreError
from collector.instances import Instance
from collector.query.archivers import outages, spool_status
from collector.query.coverage import Coverage, coverage
from collector.query.running import find_running
from collector.rib import snapshots
from collector.sources.known import SOURCES, find_feed, find_instances
from collector.spool.state import inspect
from collector.store import credentials
from collector.store.mongo import Store
from collector.store.uri import with_database
from schemas.notes import TrackerNote
from schemas.status import CollectorStatus


async def status(data_dir: Path, store: Store | None) -> CollectorStatus:
    """Inspect spools and store; if the store does not answer, the status says so."""
    running = find_running(data_dir)
    instances = find_instances(data_dir)
    spools = [inspect(instance.spool) for instance in instances]
    states = [spool_status(instance, spool) for instance, spool in zip(instances, spools, strict=True)]
    notes = [spool.note for spool in spools]
    trackers = [note["tracker"] for note in notes if "tracker" in note]
    gaps = [tracker["gaps"] for tracker in trackers if "gaps" in tracker]
    try:
        server = await store.server_version() if store else "none: no collector runs here, and no URI is given"
        behind = await rib_lag(store) if store else None
        covered = await coverage(store, datetime.now(UTC)) if store else Coverage(None, None)
    except StoreError as error:
        server, behind, covered = f"unreachable: {error.cause}", None, Coverage(None, None)
    return CollectorStatus(
        state="running" if running else "stopped",
        pid=running.pid if running else None,
        started=running.started if running else None,
        data_dir=str(data_dir),
        read=sum(spool.read for spool in spools),
        stored=sum(note.get("stored", 0) for note in notes),
        rejected=sum(note.get("rejected", 0) for note in notes),
        waiting=sum(spool.waiting for spool in spools),
        spool_full=min((spool.full for spool in spools if spool.full), default=None),
        gaps=sum(found.get("gaps", 0) for found in gaps),
        lost=sum(found.get("lost", 0) for found in gaps),
        unreadable=sum(found.get("unreadable", 0) for found in gaps) + sum(note.get("refused", 0) for note in notes),
        clock_steps=sum(tracker.get("steps", 0) for tracker in trackers),
        clock_set_back=_set_back(trackers),
        bytes_waiting=sum(spool.bytes_waiting for spool in spools),
        lag_seconds=max(state.lag_seconds for state in states),
        rib_behind=behind,
        routers=_routers(instances),
        **_feed(data_dir),
        mongodb_uri=store.shown_uri if store else None,
        shell=_shell(data_dir, store) if store else None,
        store=server,
        spools=states,
        **outages(instances),
        archive_since=covered.since,
        archive_upto=covered.upto,
        versions={
            "bgpledger": importlib.metadata.version("bgpledger"),
            "exabgp": importlib.metadata.version("exabgp"),
            "pymongo": importlib.metadata.version("pymongo"),
            "python": platform.python_version(),
        },
    )


def _routers(instances: Sequence[Instance]) -> int | None:
    """Routers that are connected over BMP, if a receiver is running."""
    counts = [SOURCES[instance.source].routers(instance).connected for instance in instances]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _feed(data_dir: Path) -> dict[str, Any]:
    """The state of the connection to RIS Live, if its receiver is running."""
    state = find_feed(data_dir)
    if state is None or not lives(state.pid):
        return {}
    return {
        "feed": "connected" if state.connected else "away",
        "feed_since": state.since,
        "feed_last_message": state.last_message,
        "feed_reconnects": state.reconnects,
    }


def _shell(data_dir: Path, store: Store) -> str:
    own = credentials.options_for(store.shown_uri)
    if not own:
        return shlex.join(["mongosh", with_database(store.shown_uri, store.database_name)])
    here = own["password"] == credentials.read(data_dir)
    where = ["--data-dir", str(data_dir)] if here else ["--mongodb-uri", store.shown_uri]
    return shlex.join([sys.argv[0], *where, "shell"])


def clock_set_back(data_dir: Path) -> datetime | None:
    """Until when stored time stands still because a clock was set back; None if it does not.

    Raises:
        SpoolError: a spool cannot be read.
    """
    notes = [inspect(instance.spool).note for instance in find_instances(data_dir)]
    return _set_back([note["tracker"] for note in notes if "tracker" in note])


def _set_back(trackers: Sequence[TrackerNote]) -> datetime | None:
    """The stored time that stands still because a clock was set back."""
    noted = [(datetime.fromisoformat(one["last_ts"]), one.get("clock")) for one in trackers if "last_ts" in one]
    ahead = [stored for stored, clock in noted if clock and datetime.fromisoformat(clock) < stored]
    return max((stored for stored in ahead if stored > datetime.now(UTC)), default=None)


async def rib_lag(store: Store) -> int:
    """UPDATEs that the stored tables of current sessions do not contain yet: a query for all routes folds them."""
    lag = 0
    async for session in store.find("sessions", {"until": None}, fields=("updates",)):
        stored = await snapshots.newest(store, session["_id"])
        lag += session["updates"] - (stored.newest.updates if stored else 0)
    return lag
