"""The time machine: a whole table and two hours of changes, and what questions about it cost."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.blocking import longest_blocks
from benchmarks.data import COLLECTOR, Table
from benchmarks.processes import usage
from benchmarks.speakers import BIN, workplace
from benchmarks.stores import insert_all, store_server
from collector.cli.run_query import collect_rarely
from collector.query.diff import diff
from collector.query.filters import Choice, Filter
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.query.tail import tail
from collector.rib.projecting import Rhythm
from collector.rib.rebuilding import rebuild
from collector.store.mongo import Store
from schemas.attributes import Attributes
from schemas.keys import collector_number, make_key
from schemas.stored import SessionDocument, UpdateDocument

CHANGES = 20_000
"""UPDATEs in two hours: a busy peer with a full table says as much."""
_MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
_HOURS = 2
_LOOKUPS = 500
_TABLES = 5
_TAILED = 60


def measure(table: Table) -> dict[str, float]:
    """Fill a store, have its tables stored, and ask."""
    often = gc.get_threshold()
    collect_rarely()  # as the commands do
    try:
        return asyncio.run(_measure(table))
    finally:
        gc.unfreeze()
        gc.set_threshold(*often)


async def _measure(table: Table) -> dict[str, float]:
    with workplace() as place:
        async with store_server(place) as server, Store.open(server.uri) as store:
            await store.prepare()
            session = await _fill(store, table.documents())
            began = time.monotonic()
            await rebuild(store, Rhythm(8, 5000))
            values = {"rebuild": time.monotonic() - began}
            chance = random.Random(1)  # noqa: S311  # a choice, not a secret
            values |= await _lookups(store, table, chance)
            values |= await _whole_tables(store, chance)
            values |= _streamed(server.uri, _some_moment(chance))
            values |= await _diff(store)
            values |= await _origins(store, table, chance)
            prefix = next(one for one in table.documents() if "announce" in one)["announce"][0]["nlri"][0]
            values["loop"] = max((await longest_blocks(server.uri, _MIDNIGHT, prefix)).values())
            values |= await _tail(store, session)
            return values


async def _fill(store: Store, documents: list[UpdateDocument]) -> SessionDocument:
    """The table before midnight, and changes behind it: an UPDATE of it again with another path, at random times."""
    first = min(one["ts"] for one in documents)
    begin = _MIDNIGHT - timedelta(minutes=10)
    number = collector_number(COLLECTOR)
    session = make_key(begin, number, 0)
    for line, one in enumerate(documents, 1):
        one["ts"], one["session"] = begin + (one["ts"] - first), session
        one["_id"] = make_key(one["ts"], number, line)
    chance = random.Random(0)  # noqa: S311  # a choice, not a secret
    announced = [one for one in documents if "announce" in one]
    step = timedelta(hours=_HOURS) / CHANGES
    changes = [
        _changed(chance.choice(announced), _MIDNIGHT + at * step, number, len(documents) + at + 1)
        for at in range(CHANGES)
    ]
    await insert_all(store, documents)
    await insert_all(store, changes)
    document: SessionDocument = {
        "_id": session,
        "v": 1,
        "collector": COLLECTOR,
        "peer": documents[0]["peer"],
        "since": begin,
        "began": "up",
        "exabgp_pid": 1,
        "last_seen": changes[-1]["ts"],
        "keepalives": 0,
        "updates": len(documents) + len(changes),
        "announced": 0,
        "withdrawn": 0,
    }
    await store.replace("sessions", [document])
    return document


def _changed(document: UpdateDocument, ts: datetime, number: int, line: int) -> UpdateDocument:
    path = document["attributes"].get("as_path", "")
    attributes: Attributes = {**document["attributes"], "as_path": f"{path.partition(' ')[0]} {path}".strip()}
    ts = ts.replace(microsecond=ts.microsecond // 1000 * 1000)
    return {**document, "_id": make_key(ts, number, line), "ts": ts, "attributes": attributes}


def _some_moment(chance: random.Random) -> datetime:
    return _MIDNIGHT + chance.uniform(0, _HOURS) * timedelta(hours=1)


async def _lookups(store: Store, table: Table, chance: random.Random) -> dict[str, float]:
    seconds = []
    announced = [one for one in table.documents() if "announce" in one]
    for document in chance.sample(announced, _LOOKUPS):
        address = document["announce"][0]["nlri"][0].partition("/")[0]
        question = RibQuery(f"{address}/32", match="longest", at=_some_moment(chance))
        began = time.monotonic()
        if not [route async for route in rib(store, question)]:
            raise SystemExit(f"nothing is known of {address}")
        seconds.append(time.monotonic() - began)
    return {"lookup_p50": _quantile(seconds, 50), "lookup_p95": _quantile(seconds, 95)}


async def _origins(store: Store, table: Table, chance: random.Random) -> dict[str, float]:
    seconds = []
    announced = [one for one in table.documents() if "origin_asns" in one]
    for document in chance.sample(announced, _LOOKUPS):
        filters = Filter(origins=Choice((document["origin_asns"][0],)))
        began = time.monotonic()
        if not [entry async for entry in search(store, filters)]:
            raise SystemExit(f"nothing is known of {filters.origins}")
        seconds.append(time.monotonic() - began)
    return {"origin_p50": _quantile(seconds, 50), "origin_p95": _quantile(seconds, 95)}


async def _whole_tables(store: Store, chance: random.Random) -> dict[str, float]:
    first, whole, count = [], [], 0
    for _ in range(_TABLES):
        began = time.monotonic()
        count = 0
        async for _route in rib(store, RibQuery(at=_some_moment(chance))):
            if not count:
                first.append(time.monotonic() - began)
            count += 1
        whole.append(time.monotonic() - began)
    return {"table_first": _quantile(first, 50), "table_seconds": _quantile(whole, 50), "table_routes": count}


def _streamed(uri: str, at: datetime) -> dict[str, float]:
    """The command, its output thrown away: seconds, and the most memory it held."""
    began, peak = time.monotonic(), 0
    command = [str(BIN / "bgpledger"), "--mongodb-uri", uri, "rib", "--at", at.isoformat(), "--format", "jsonl"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        # What wait4 tells has our own memory in it, of before the program was loaded.
        with suppress(FileNotFoundError, ProcessLookupError, KeyError):
            peak = max(peak, usage(process.pid).peak)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit("bgpledger rib failed")
    return {"command_seconds": time.monotonic() - began, "command_peak": peak}


async def _diff(store: Store) -> dict[str, float]:
    began = time.monotonic()
    earlier = _MIDNIGHT + timedelta(minutes=30)
    changes = 0
    async for _ in diff(store, RibQuery(), earlier, earlier + timedelta(hours=1)):
        changes += 1
    return {"diff_seconds": time.monotonic() - began, "diff_changes": changes}


async def _tail(store: Store, session: SessionDocument) -> dict[str, float]:
    """From when an UPDATE and its session are stored, as the archiver stores them, to when it is shown."""
    stored: dict[str, float] = {}
    seconds: list[float] = []
    ready = asyncio.Event()
    following = asyncio.create_task(_follow(tail(store, Filter(), pulse=ready.set), stored, seconds))
    await ready.wait()
    chance = random.Random(2)  # noqa: S311  # a choice, not a secret
    number = collector_number(COLLECTOR)
    for at in range(_TAILED):
        ts = session["last_seen"] + timedelta(seconds=1)
        prefix = f"10.0.{at}.0/24"
        update: UpdateDocument = {
            "_id": make_key(ts, number, session["updates"] + 1),
            "v": 1,
            "ts": ts,
            "collector": COLLECTOR,
            "session": session["_id"],
            "source": {"pid": 1, "counter": at},
            "peer": session["peer"],
            "attributes": {"origin": "igp", "as_path": "1"},
            "announce": [{"family": "ipv4 unicast", "nlri": [prefix], "next_hop": "192.0.2.1"}],
        }
        session = {**session, "last_seen": ts, "updates": session["updates"] + 1}
        await store.insert("updates", [update])
        await store.replace("sessions", [session])
        stored[prefix] = time.monotonic()
        await asyncio.sleep(chance.uniform(0.05, 0.3))
    async with asyncio.timeout(30):
        while len(seconds) < _TAILED:
            await asyncio.sleep(0.05)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    return {"tail_p50": _quantile(seconds, 50), "tail_max": max(seconds)}


async def _follow(entries: AsyncIterator[Any], stored: dict[str, float], seconds: list[float]) -> None:
    async for entry in entries:
        if entry.prefix in stored:
            seconds.append(time.monotonic() - stored[entry.prefix])  # noqa: PERF401  # each when it comes


def _quantile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]
