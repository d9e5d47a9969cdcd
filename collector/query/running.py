"""What a running collector publishes in its data directory for other commands.

`run.lock` is locked while it runs, however it ends; `run.json` has the rest.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from collector.errors import CollectorError
from collector.files import replace
from collector.local_server import is_locked
from schemas.scalars import Timestamp

_FILE, _LOCK = "run.json", "run.lock"


class KnownPeer(NamedTuple):
    """A configured peer, which may never have been up."""

    address: str
    asn: int
    description: str | None = None
    passive: bool = False
    password: bool = False
    """Whether it has a password (RFC 2385); not the password itself."""
    families: tuple[str, ...] = ()
    """Its configured families; empty for all."""


class RunningCollector(BaseModel):
    """One `bgpledger run`."""

    model_config = ConfigDict(defer_build=True)

    pid: int
    started: Timestamp
    collector: str | None = None
    """The collector's name."""
    peers: tuple[KnownPeer, ...] = ()
    ranges: tuple[str, ...] = ()
    """The configured peer ranges, such as `192.0.2.0/24`."""
    config: Path | None = None
    """The configuration it was started with, for those who may read it: it says how to reach a store that needs
    secrets."""
    local_as: int | None = None
    listen: str | None = None
    """The values in use: its command line may override the configuration."""
    mongodb_uri: str | None = None
    """The URI of the store, if it needs no secrets: that of an embedded store."""
    database: str = "bgpledger"
    http: str | None = None
    """The address of its HTTP API, which may have failed to start."""

    def announce(self, data_dir: Path) -> None:
        """Write the file atomically."""
        replace(data_dir / _FILE, self.model_dump_json())


@contextmanager
def only_collector(data_dir: Path) -> Iterator[None]:
    """Be the only collector on a data directory, which is created if it does not exist.

    Raises:
        CollectorError: another one runs on it, or the directory cannot be written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CollectorError(
            f"the data directory {data_dir} cannot be used: {error.strerror}",
            "give one that this user may write to (--data-dir, BGPLEDGER_DATA_DIR or data_dir)",
        ) from error
    try:
        if not _lock(lock):
            running = find_running(data_dir)
            raise CollectorError(
                f"another collector runs on {data_dir}{f' (process {running.pid})' if running else ''}",
                "stop it first, or give this one a --data-dir of its own",
            )
        yield
        (data_dir / _FILE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _lock(descriptor: int) -> bool:
    for _attempt in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # another process may be in `find_running`, which takes no time
        else:
            return True
    return False


def find_running(data_dir: Path) -> RunningCollector | None:
    """The collector that runs on this data directory, or None."""
    try:
        lock = os.open(data_dir / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not is_locked(lock):
            return None
    finally:
        os.close(lock)
    try:
        return RunningCollector.model_validate_json((data_dir / _FILE).read_bytes())
    except (OSError, ValidationError):
        return None
