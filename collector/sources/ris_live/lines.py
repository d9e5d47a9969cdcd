"""The lines of the spool: each message after its time of arrival, and the receiver's own lines."""

from __future__ import annotations

import json
import os
import time
from typing import Any

NAME = "ris_live"
OURS = b"{"
"""How the receiver's own lines begin; those of messages begin with a time."""


def arrived(text: str | bytes) -> bytes:
    """The line of a message that has just arrived.

    Line breaks are white space in JSON, because they cannot occur within its strings (RFC 8259 7).
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return b"%.6f " % time.time() + data.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def connected() -> bytes:
    """The line before everything from a connection: what was said since the previous line was missed."""
    return _line("start")


def dropped(since: float, lines: int, size: int, reason: str) -> bytes:
    """The line in place of those for which there was no room; see `collector.spool.intake.Drop`."""
    return _line("dropped", since=since, lines=lines, bytes=size, reason=reason[:300])


def ended() -> bytes:
    """The receiver's last line."""
    return _line("end")


def _line(event: str, **more: Any) -> bytes:
    return json.dumps({"event": event, "time": time.time(), "pid": os.getpid(), **more}).encode() + b"\n"
