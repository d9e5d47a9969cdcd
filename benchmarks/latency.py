"""The archiver with a store that is far away: ExaBGP's lines from the spool, through a proxy that delays each way.

The store is the embedded one, or that of MONGODB_URI, on loopback; what is written there is removed.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pymongo import AsyncMongoClient

from benchmarks.data import COLLECTOR, ROOT, Table
from benchmarks.speakers import workplace
from benchmarks.stores import store_server
from collector.archive.archiver import Archiver
from collector.sources.exabgp.source import EXABGP
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store

FAR_SECONDS = 0.03
"""Each way: a replica set over a continent."""
_LINES = 20_000
_DATABASE = "bgpledger_bench"
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")


def near(table: Table) -> dict[str, float]:
    """Lines archived through the proxy without a delay, and how long that took."""
    return asyncio.run(_archive(table, 0))


def far(table: Table) -> dict[str, float]:
    """The same with `FAR_SECONDS` each way."""
    return asyncio.run(_archive(table, FAR_SECONDS))


async def _archive(table: Table, seconds: float) -> dict[str, float]:
    lines = table.lines[:_LINES]
    with workplace() as place:
        with SpoolWriter(place / "spool") as spool:
            spool.write(b"".join(line + b"\n" for line in lines))
        async with _server(place) as uri:
            with _delayed(uri, seconds) as far_uri:
                async with Store.open(far_uri, database=_DATABASE) as store:
                    await store.prepare()
                    archiver = Archiver(SpoolReader(place / "spool"), store, source=EXABGP, collector=COLLECTOR)
                    archiver.stop()  # when all is stored
                    began = time.perf_counter()
                    await archiver.run()
                    return {"lines": len(lines), "seconds": time.perf_counter() - began}


@asynccontextmanager
async def _server(place: Path) -> AsyncIterator[str]:
    """The URI of a store whose database for this is empty, before and afterwards."""
    if uri := os.environ.get("MONGODB_URI"):
        async with AsyncMongoClient[dict[str, object]](uri) as client:
            await client.drop_database(_DATABASE)
            yield uri
            await client.drop_database(_DATABASE)
    else:
        async with store_server(place) as server:
            yield server.uri


@contextmanager
def _delayed(uri: str, seconds: float) -> Iterator[str]:
    """The URI of the same server through the proxy."""
    found = _PORT.search(uri)
    if found is None:
        raise SystemExit("the store to be delayed has to be named by 127.0.0.1:PORT (MONGODB_URI)")
    command = [sys.executable, "-m", "benchmarks.delay", found[0], str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None  # noqa: S101  # it is a pipe
            yield _PORT.sub(proxy.stdout.readline().strip(), uri)
        finally:
            proxy.terminate()
