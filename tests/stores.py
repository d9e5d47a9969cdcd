"""Embedded stores that had their first start before: with its tables and its user that takes as long as two others."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from collector.store import credentials, embedded


def put_store(data_dir: Path) -> None:
    """Give a data directory that has none an empty store, which has its tables and its user."""
    if not (data_dir / "store").exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(_started() / "store", data_dir / "store")
        shutil.copy2(credentials.place(_started()), credentials.place(data_dir))


@cache
def _started() -> Path:
    """The data directory of a store that was started once, for all tests of this process."""
    data_dir = Path(tempfile.mkdtemp(prefix="bgpledger-store-"))
    atexit.register(shutil.rmtree, data_dir)

    async def start() -> None:
        await (await embedded.start(data_dir)).stop()

    with ThreadPoolExecutor(1) as beside:  # who asks may be in a loop
        beside.submit(asyncio.run, start()).result()
    return data_dir
