"""`bgpledger import` of an MRT file, and the same documents from memory into the same store."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from itertools import count

from benchmarks.data import COLLECTOR, Table
from benchmarks.processes import usage
from benchmarks.speakers import BIN, workplace
from benchmarks.stores import insert_together, store_server
from collector.archive.session_tracker import SessionTracker
from collector.bgp.mrt import MrtFile
from collector.sources.mrt.source import MRT
from collector.sources.source import Rejection
from collector.store.mongo import Store
from schemas.documents import collection_of, to_document
from schemas.stored import MessageDocument, UpdateDocument

_SECONDS = re.compile(r" in ([\d.]+) s: [\d,]+/s$")


def from_file(table: Table) -> dict[str, float]:
    """The command as it is typed, with a store that runs already.

    `seconds` are those that it tells of the file; `wall` is the whole command, with the stored tables that it makes
    of the file's sessions.
    """
    return asyncio.run(_from_file(table))


async def _from_file(table: Table) -> dict[str, float]:
    with workplace() as place:
        async with store_server(place) as server:
            before = usage(server.pid).cpu
            command = [str(BIN / "bgpledger"), "import", str(table.path), "--collector", COLLECTOR]
            command += ["--data-dir", str(place / "data"), "--mongodb-uri", server.uri]
            clean = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
            began, children = time.monotonic(), os.times()
            done = await asyncio.to_thread(subprocess.run, command, env=clean, capture_output=True, text=True)
            wall, after = time.monotonic() - began, os.times()
            seconds = _SECONDS.search(done.stderr.strip())
            if done.returncode or not seconds:
                raise SystemExit(f"{' '.join(command)}: {done.stderr}")
            own = after.children_user + after.children_system - children.children_user - children.children_system
            spent = {"cpu": own, "store_cpu": usage(server.pid).cpu - before}
            return {
                "seconds": float(seconds[1]),
                "wall": wall,
                "updates": table.updates,
                "routes": table.routes,
                **spent,
            }


def from_memory(table: Table) -> dict[str, float]:
    """The documents that an import makes of the file, in the import's batches, as many at once."""
    return asyncio.run(_from_memory(table))


async def _from_memory(table: Table) -> dict[str, float]:
    documents = _documents(table)
    with workplace() as place:
        async with store_server(place) as server, Store.open(server.uri) as opened:
            await opened.prepare()
            before, began = usage(server.pid).cpu, time.monotonic()
            for name, some in documents.items():
                await insert_together(opened, name, some)
            seconds = time.monotonic() - began
            return {"seconds": seconds, "store_cpu": usage(server.pid).cpu - before}


def _documents(table: Table) -> dict[str, list[UpdateDocument | MessageDocument]]:
    tracker, numbers = SessionTracker(MRT, COLLECTOR), count()
    found: dict[str, list[UpdateDocument | MessageDocument]] = {}
    for frame in MrtFile(table.path).frames():
        message = MRT.decode(frame.raw)
        if isinstance(message, Rejection):
            raise SystemExit(f"{table.path}, record {frame.record}: {message.reason}")
        document = to_document(message, tracker.follow(next(numbers), message))
        found.setdefault(collection_of(message), []).append(document)
    return found
