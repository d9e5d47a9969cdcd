"""What a running collector tells other commands, in its data directory.

`run.lock` is locked for as long as it lives, however it dies; `run.json` says the rest.
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
    """Its name."""
    peers: tuple[KnownPeer, ...] = ()
    ranges: tuple[str, ...] = ()
    """The configured peer ranges, such as `192.0.2.0/24`."""
    config: Path | None = None
    """The configuration it was started with: who may read it finds there how to reach a store that needs secrets."""
    local_as: int | None = None
    listen: str | None = None
    """The values in use: its command line may override the configuration."""
    mongodb_uri: str | None = None
    """How to reach the store if that needs no secrets: the embedded one."""
    database: str = "bgpledger"
    http: str | None = None
    """Where its HTTP API is; it may have failed to come up."""

    def announce(self, data_dir: Path) -> None:
        """Write the file atomically."""
        replace(data_dir / _FILE, self.model_dump_json())


@contextmanager
def only_collector(data_dir: Path) -> Iterator[None]:
    """Be the only collector on a data directory, which is made if it is not there.

    Raises:
        CollectorError: another one runs on it, or it cannot be written.
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
            time.sleep(0.05)  # a `find_running` may be looking, which takes no time
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
