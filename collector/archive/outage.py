"""Outages of the store: what the log and `status` say about them."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.errors import BgpledgerError, StoreError, StoreUnavailableError
from collector.files import replace
from collector.instances import Instance
from schemas.archiver import ArchiverState

log = logging.getLogger(__name__)

LOG_AGAIN_SECONDS = 600.0
"""How often, in seconds, the log says that an outage continues."""
SHORT_SECONDS = 60.0
"""Outages that start within this many seconds of the last message are only logged if they last: the store may be
flapping."""

Tell = Callable[[ArchiverState], None]


class Outage:
    """Tracks failed attempts, and the one that succeeds.

    Args:
        tell: called with the archiver's state when it changes, and after each failed attempt.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._pid = os.getpid()
        self._since: datetime | None = None
        self._began = 0.0
        self._attempts = 0
        self._logged = -math.inf
        self._was_logged = False
        tell(ArchiverState(pid=self._pid))

    def failed(self, error: BgpledgerError) -> None:
        """An attempt failed, and will be repeated."""
        now = time.monotonic()
        if not self._attempts:
            self._began = now
        self._attempts += 1
        self._log(error, now)
        if isinstance(error, StoreError):
            self._since = self._since or datetime.now(UTC)
            self._tell(
                ArchiverState(
                    pid=self._pid, store_away_since=self._since, attempts=self._attempts, last_error=error.cause
                )
            )

    def over(self) -> None:
        """An attempt succeeded."""
        if self._was_logged:
            log.info("it works again after %s and %d attempts", _since(self._began), self._attempts)
        self._attempts, self._was_logged = 0, False
        if self._since:
            self._since = None
            self._tell(ArchiverState(pid=self._pid))

    def _log(self, error: BgpledgerError, now: float) -> None:
        if now - self._logged < (LOG_AGAIN_SECONDS if self._was_logged else SHORT_SECONDS):
            return
        so_far = f" for {_since(self._began)} now" if self._was_logged else ""
        log.warning("%s%s; trying again until it works; the spool keeps everything", error.cause, so_far)
        if error.cure and not isinstance(error, StoreUnavailableError):  # the cause may pass by itself
            log.warning("cure: %s", error.cure)
        self._logged, self._was_logged = now, True


def _since(moment: float) -> timedelta:
    return timedelta(seconds=round(time.monotonic() - moment))


def state_file(instance: Instance) -> Path:
    """The file with the state of an instance's archiver."""
    return instance.data_dir / f"{instance.named('archiver')}.json"


class Announcer:
    """Publishes the state of one instance's archiver in a file that is replaced atomically.

    Args:
        file: the path; on a full disk the previous state remains.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state = ArchiverState(pid=os.getpid())

    def hear(self, state: ArchiverState) -> None:
        """Publish whether writes to the store succeed."""
        self._tell(state.model_copy(update={"building": self._state.building}))

    def build(self, what: str | None) -> None:
        """Publish that an index is being built; None when it is complete."""
        if what != self._state.building:
            self._tell(self._state.model_copy(update={"building": what}))

    def withdraw(self) -> None:
        """Remove the file when the archiver ends."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _tell(self, state: ArchiverState) -> None:
        self._state = state
        with suppress(OSError):
            replace(self._file, state.model_dump_json())
