"""How receivers write to the spool: every byte is taken at once, even if the disk is full.

ExaBGP, and every BGP session with it, stands still while its pipe is not read. So if there is no room, whole lines are
dropped and counted, loudly; when there is room again, a line in their place says how many there were.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from collector.spool.room import Room
from collector.spool.writer import SpoolWriter, UnwrittenError

_log = logging.getLogger(__name__)

_TRY_SECONDS = 1.0
_REMIND_SECONDS = 600.0


@dataclass
class Drop:
    """Lines that had no room."""

    since: float
    """Unix seconds."""
    reason: str
    lines: int = 0
    size: int = 0
    """In bytes."""


class Intake:
    """Writes to a spool while there is room, and counts what it has to drop.

    Args:
        writer: the spool's write end.
        room: how much of the disk it may use.
        start: the line to write before all others.
        notices: returns lines, usually none, to write before the first line that begins in the next data.
        describe: makes the line that replaces dropped lines.
    """

    def __init__(
        self,
        writer: SpoolWriter,
        room: Room,
        *,
        start: bytes,
        notices: Callable[[], bytes],
        describe: Callable[[Drop], bytes],
    ) -> None:
        self._writer = writer
        self._room = room
        self._describe = describe
        self._notices = notices
        self._noticed = b""
        self._ahead = start
        """Our own lines that are to precede ExaBGP's next line, and wait for room."""
        self._drop: Drop | None = None
        self._within_line = False
        self._next_try = self._next_word = 0.0
        room.clear()
        self.write(b"")

    @property
    def is_dropping(self) -> bool:
        """Whether there was no room at the last write."""
        return self._drop is not None

    def write(self, data: bytes) -> None:
        """Write bytes, cut anywhere; never waits for room, and never fails for lack of it."""
        self._noticed += self._notices()
        begin = data.find(b"\n") + 1 if self._within_line else 0
        if self._noticed and (begin or not self._within_line):
            self._take(data[:begin])
            self._ahead, self._noticed, data = self._ahead + self._noticed, b"", data[begin:]
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self._drop is None:
            kept, reason = self._try(self._ahead + data, again=False)
            if reason is not None:
                self._begin_drop(data[max(kept - len(self._ahead), 0) :], reason)
            self._written_ahead(kept)
        else:
            self._go_on(self._drop, data)
        if data:
            self._within_line = not data.endswith(b"\n")

    def end(self, marker: bytes) -> None:
        """Write the receiver's last line, unless dropped lines would make it untrue."""
        torn, self._within_line = self._within_line, False
        if self._drop:
            self._drop.lines += torn
            self._next_try = 0.0
            self._go_on(self._drop, b"")
        if self._drop:
            _log.error("the receiver ends, and has had no room for %d lines", self._drop.lines)
        elif not torn:
            self.write(marker)

    def _go_on(self, drop: Drop, data: bytes) -> None:
        """Continue to drop, or resume writing at the beginning of a line."""
        begin = data.find(b"\n") + 1 if self._within_line else 0
        if time.monotonic() < self._next_try or (self._within_line and not begin):
            self._count(drop, data)
            return
        reported = Drop(drop.since, drop.reason, drop.lines, drop.size)
        self._count(reported, data[:begin])
        ahead = self._ahead + (self._describe(reported) if reported.lines else b"")
        kept, reason = self._try(ahead + data[begin:], again=True)
        if kept < len(ahead):
            self._writer.leave_torn()
            self._written_ahead(kept)
            self._next_try = time.monotonic() + _TRY_SECONDS
            self._count(drop, data)
            return
        _log.warning("the spool has room again: %d lines were dropped", reported.lines)
        self._ahead, self._drop = b"", None
        self._room.clear()
        if reason is not None:
            self._begin_drop(data[begin + kept - len(ahead) :], reason)

    def _written_ahead(self, kept: int) -> None:
        """Keep those of our own lines that are not completely within the first `kept` bytes."""
        self._ahead = self._ahead[self._ahead.rfind(b"\n", 0, kept) + 1 :]

    def _try(self, data: bytes, *, again: bool) -> tuple[int, str | None]:
        """Write; returns how many bytes are in the spool, and why the rest is not."""
        try:
            reason = self._room.shortage(len(data), again=again)
            if reason is None:
                self._writer.write(data)
                return len(data), None
        except UnwrittenError as error:
            return error.written, error.reason
        except OSError as error:
            return 0, error.strerror or str(error)
        return 0, reason

    def _begin_drop(self, rest: bytes, reason: str) -> None:
        self._drop = Drop(time.time(), reason)
        self._writer.leave_torn()
        self._room.mark(reason)
        now = time.monotonic()
        self._next_try, self._next_word = now + _TRY_SECONDS, now + _REMIND_SECONDS
        _log.error("the spool is full: %s; lines are dropped and counted until there is room", reason)
        self._count(self._drop, rest)

    def _count(self, drop: Drop, data: bytes) -> None:
        drop.lines += data.count(b"\n")
        drop.size += len(data)
        if drop is self._drop and time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + _REMIND_SECONDS
            _log.error("the spool still has no room: %s; %d lines are dropped so far", drop.reason, drop.lines)
