"""The whole table: through the collector, through ExaBGP alone, and into the store alone."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Mapping

from benchmarks import amounts
from benchmarks.collecting import Collector, collecting
from benchmarks.commands import show_history
from benchmarks.data import Table
from benchmarks.processes import Usage, usage
from benchmarks.speakers import exabgp_alone, workplace
from benchmarks.stores import insert_all, store_server
from collector.query.history import HistoryQuery, history
from collector.store.mongo import Store

_PYPY = "pypy3"
_QUESTIONS = 500
_HISTORY_RUNS = 5


def missing_pypy() -> str | None:
    """Why ExaBGP cannot be run under PyPy here."""
    return None if shutil.which(_PYPY) else f"not measured: {_PYPY} is not installed (Debian package pypy3)"


def collector(table: Table) -> dict[str, float]:
    """`bgpledger run`, from the first UPDATE on the wire to the last one queryable."""
    return _collector(table)


def collector_pypy(table: Table) -> dict[str, float]:
    """The same with ExaBGP under PyPy."""
    return _collector(table, _PYPY)


def _collector(table: Table, python: str | None = None) -> dict[str, float]:
    with collecting(table, python=python) as running:
        running.until_receiving()
        before = running.parts()
        played, ended = running.take(table)
        values = {
            "seconds": ended - played.began,
            "wire_seconds": played.ended - played.began,
            "updates": table.updates,
            "routes": table.routes,
        }
        values |= _parts(running, before)
        walls = sorted(show_history(running.data_dir, prefix) for prefix in some_prefixes(table, _HISTORY_RUNS))
        return values | {"history_seconds": walls[len(walls) // 2]}


def two_peers(table: Table) -> dict[str, float]:
    """Two peers with the same table, both at once, into one ExaBGP process."""
    return _two_peers(table, processes=1)


def two_processes(table: Table) -> dict[str, float]:
    """The same into two processes."""
    return _two_peers(table, processes=2)


def _two_peers(table: Table, processes: int) -> dict[str, float]:
    with collecting(table, peers=2, processes=processes) as running:
        running.until_receiving()
        played, ended = running.take(table)
        return {
            "seconds": ended - played.began,
            "wire_seconds": played.ended - played.began,
            "updates": 2 * table.updates,
            "routes": 2 * table.routes,
        }


def exabgp(table: Table) -> dict[str, float]:
    """ExaBGP with the same settings, its lines to /dev/null."""
    return _exabgp(table)


def exabgp_pypy(table: Table) -> dict[str, float]:
    """The same under PyPy."""
    return _exabgp(table, _PYPY)


def _exabgp(table: Table, python: str | None = None) -> dict[str, float]:
    seconds, used = exabgp_alone(table, python)
    return {
        "seconds": seconds,
        "routes": table.routes,
        "updates": table.updates,
        "cpu": used.cpu,
        "peak": used.peak,
    }


def store(table: Table) -> dict[str, float]:
    """The embedded store, given the same documents from memory, in the archiver's batches."""
    return asyncio.run(_store(table))


async def _store(table: Table) -> dict[str, float]:
    documents = table.documents()
    with workplace() as place:
        async with store_server(place) as server, Store.open(server.uri) as opened:
            await opened.prepare()
            before, began = usage(server.pid).cpu, time.monotonic()
            await insert_all(opened, documents)
            seconds = time.monotonic() - began
            return {"seconds": seconds, "routes": table.routes, "cpu": usage(server.pid).cpu - before}


def twenty_tables(table: Table) -> dict[str, float]:
    """The table `amounts.tables` times, each in a session of its own; then questions to what is there."""
    times = amounts.tables()
    with collecting(table) as running:
        values: dict[str, float] = {}
        for number in range(times):
            running.until_receiving()
            running.take(table, already=number * table.updates)
            if number == 1:
                values["resident_second"] = _resident(running)
        values |= {"resident_last": _resident(running), "routes": times * table.routes, **_parts(running, {})}
        seconds = sorted(asyncio.run(_questions(running, table)))
        return values | {"query_p50": seconds[len(seconds) // 2], "query_p95": seconds[len(seconds) * 95 // 100]}


async def _questions(running: Collector, table: Table) -> list[float]:
    seconds = []
    async with Store.open(running.uri) as opened:
        for prefix in some_prefixes(table, _QUESTIONS):
            began = time.monotonic()
            found = [entry async for entry in history(opened, HistoryQuery(prefix))]
            seconds.append(time.monotonic() - began)
            if not found:
                raise SystemExit(f"the collector knows nothing of {prefix}")
    return seconds


def some_prefixes(table: Table, count: int) -> list[str]:
    """Prefixes of the table, always the same ones."""
    chance = random.Random(count)  # noqa: S311  # a choice, not a secret
    documents = chance.sample([one for one in table.documents() if "announce" in one], count)
    return [chance.choice(one["announce"][0]["nlri"]) for one in documents]


def _parts(running: Collector, before: Mapping[str, Usage]) -> dict[str, float]:
    """CPU since `before`, and the most memory."""
    parts = running.parts()
    return {
        **{f"{name}_cpu": used.cpu - (before[name].cpu if name in before else 0) for name, used in parts.items()},
        **{f"{name}_peak": used.peak for name, used in parts.items()},
    }


def _resident(running: Collector) -> float:
    parts = running.parts()
    return parts["receive"].resident + parts["archiver"].resident
