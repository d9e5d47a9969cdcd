"""Prepares and migrates the database while lines are archived, which may take hours.

The log and `status` say what is being done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from time import monotonic

from collector.errors import StoreError, StoreUnavailableError
from collector.retry import pauses
from collector.store.mongo import Store

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
LOG_AGAIN_SECONDS = 60.0
"""How often, in seconds, the log reports the progress of an index."""


class Upkeep:
    """Maintains the database of one collector, once.

    Args:
        store: the archive.
        retention: how many days documents are kept, by the keys of [retention].
        tell: called with the progress of an index; None when it is complete.
    """

    def __init__(self, store: Store, retention: Mapping[str, int], tell: Callable[[str | None], None]) -> None:
        self._store = store
        self._retention = retention
        self._tell = tell
        self._began = self._logged = 0.0
        self._what: str | None = None

    async def run(self) -> None:
        """Maintain the database, retrying until it is done; what the database does not allow is logged and skipped."""
        last = ""
        for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.2):
            try:
                await self._store.prepare()
                lacks = await self._store.maintain(self._retention, self._log_build)
            except StoreError as error:
                # The archivers report a store that is unavailable.
                if not isinstance(error, StoreUnavailableError) and error.cause != last:
                    log.warning("the database could not be prepared: %s; cure: %s", error.cause, error.cure)
                    last = error.cause
            except Exception:
                # Nobody awaits this task, and lines are stored without it, so the log has the error.
                log.exception("the database could not be maintained")
                return
            else:
                for lack in lacks:
                    log.warning("%s; cure: %s", lack.cause, lack.cure)
                return
            await asyncio.sleep(pause)

    def _log_build(self, what: str | None) -> None:
        self._tell(what)
        now = monotonic()
        if what is None:
            if self._what:
                log.info("built after %s", timedelta(seconds=round(now - self._began)))
        elif self._what is None or now - self._logged >= LOG_AGAIN_SECONDS:
            log.info("building %s; lines are being stored meanwhile", what)
            self._logged = now
            self._began = self._began if self._what else now
        self._what = what
