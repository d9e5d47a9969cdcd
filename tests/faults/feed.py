"""What routers send while parts of the collector die: a file, replayed again and again, with sessions or without."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from collector.bgp import mrt
from collector.errors import ReplayError
from collector.replay.player import PlannedPeer, play
from tests import mrt_builder

PEERS = 4
PER_SECOND = 400
"""UPDATEs of all peers together: each batch of the archiver has dozens, and two cores do not gasp."""


def write_feed(path: Path, *, seconds: int = 10) -> Path:
    """Write a file in which each UPDATE differs from all others."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(seconds * PER_SECOND):
            peer = number % PEERS
            prefix = f"10.{number >> 8 & 255}.{number & 255}.0/24"
            update = (
                mrt_builder.withdrawal(prefix)
                if number % 7 == 6
                else mrt_builder.announcement(prefix, 64500 + peer, 64600 + number % 50)
            )
            time = 1_700_000_000 + number / PER_SECOND
            file.write(mrt_builder.message(update, address=f"192.0.2.{peer + 1}", asn=64500 + peer, time=time))
    return path


def pace(path: Path) -> float:
    """The replay speed at which PER_SECOND messages of a file are sent a second."""
    times = [record.time for record in mrt.read(path)]
    return max(PER_SECOND * (max(times) - min(times)) / len(times), 0.001)


async def play_on(path: Path, target: tuple[str, int], peers: list[PlannedPeer], speed: float | None) -> None:
    """Replay a file for ever; when the daemon ends, connect again."""
    while True:
        try:
            await play(path, target, peers, speed=speed, loop=True)
        except ReplayError:
            await asyncio.sleep(0.2)


@asynccontextmanager
async def playing(path: Path, port: int, peers: list[PlannedPeer]) -> AsyncIterator[None]:
    """Replay while the block runs."""
    task = asyncio.create_task(play_on(path, ("127.0.0.1", port), peers, pace(path)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
