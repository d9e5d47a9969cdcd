"""Probes a service by connecting to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from collector.acting.health.looks import Look, unwell


async def look(address: str, port: int) -> Look:
    """Whether a TCP connection is accepted there."""
    try:
        _reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return unwell(error)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return Look(well=True, seen="connected")
