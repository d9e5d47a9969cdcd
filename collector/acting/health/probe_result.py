"""The result of one probe of a service."""

from __future__ import annotations

import os
from typing import NamedTuple

_LONGEST = 160


class ProbeResult(NamedTuple):
    """Whether a service is healthy, and what the probe found."""

    is_healthy: bool
    detail: str
    """One printable line of text, such as `HTTP 503`."""


def unreachable(error: OSError) -> ProbeResult:
    """The result for a service that cannot be reached."""
    # asyncio's errors repeat the address, which everybody knows.
    return ProbeResult(is_healthy=False, detail=os.strerror(error.errno).lower() if error.errno else shown(str(error)))


def shown(text: str) -> str:
    """The first line of somebody else's text, without what cannot be printed."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:_LONGEST]
