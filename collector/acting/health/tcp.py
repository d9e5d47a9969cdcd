"""Probes a service by connecting to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from collector.acting.health.probe_result import ProbeResult, unreachable


async def probe(address: str, port: int) -> ProbeResult:
    """Whether a TCP connection is accepted there."""
    try:
        _reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return unreachable(error)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ProbeResult(is_healthy=True, detail="connected")
