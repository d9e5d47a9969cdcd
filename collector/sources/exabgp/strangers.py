"""Routers that connect but are not configured: kept in a file in the data directory, and logged from time to time.

Only ExaBGP's log mentions them, not its JSON, because they have no neighbour.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from collector.files import replace
from collector.sources.source import Stranger

LOG_AGAIN_SECONDS = 600.0
WRITE_SECONDS = 5.0
MOST = 100
"""The maximum number of addresses that are remembered, because anybody can connect."""

_REFUSED = re.compile(r"connection from ([0-9a-fA-F.:]+) to ([0-9a-fA-F.:]+) refused: no such peer")
"""As logged by `collector.sources.exabgp.patched`."""


_STRANGERS = TypeAdapter(list[Stranger])


class Strangers:
    """The strangers of one ExaBGP process.

    Args:
        file: where they are kept for other processes to read.
        log: where they are logged.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, file: Path, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._log = log
        self._clock = clock
        self._known: dict[str, Stranger] = {}
        self._logged: dict[str, float] = {}
        self._written = float("-inf")
        self._write()

    def see(self, line: str) -> bool:
        """Whether this line of ExaBGP's log is about a stranger, who is then remembered."""
        found = _REFUSED.search(line)
        if found is None:
            return False
        address, local = found.groups()
        now = datetime.now(UTC)
        stranger = self._known.get(address)
        if stranger is None and len(self._known) == MOST:
            return True
        if stranger is None:
            self._known[address] = Stranger(address=address, local=local, first=now, last=now)
        else:
            stranger.local, stranger.last, stranger.times = local, now, stranger.times + 1
        if stranger is None or self._clock() - self._written > WRITE_SECONDS:
            self._write()
        self._say(self._known[address])
        return True

    def _say(self, stranger: Stranger) -> None:
        now = self._clock()
        if now - self._logged.get(stranger.address, float("-inf")) < LOG_AGAIN_SECONDS:
            return
        self._logged[stranger.address] = now
        self._log.warning(
            "%s connects to %s and is refused, as no peer has this address%s (cure: a [[peers]] for it)",
            stranger.address,
            stranger.local,
            f": {stranger.times} times by now" if stranger.times > 1 else "",
        )

    def _write(self) -> None:
        with suppress(OSError):  # it is only informative, and the log has it too
            replace(self._file, _STRANGERS.dump_json(list(self._known.values())))
            self._written = self._clock()


def read_strangers(file: Path) -> list[Stranger]:
    """The strangers in the file; none if it cannot be read."""
    try:
        return _STRANGERS.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return []
