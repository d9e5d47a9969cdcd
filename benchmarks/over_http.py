"""A running collector's HTTP server: commands that it answers, and clients that ask while a table comes in."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

from benchmarks.collecting import Collector, collecting
from benchmarks.data import ROOT, Table
from benchmarks.processes import Usage, find, usage
from benchmarks.speakers import BIN
from benchmarks.whole_table import some_prefixes
from collector import local_server

CLIENTS = 50
_COMMANDS = 20
_QUESTIONS = 500
_PATIENCE = 60.0
_PART = ("bgpledger", "serve")


def commands(table: Table) -> dict[str, float]:
    """`bgpledger history` by itself and by the collector's server, in turns: seconds on the clock, and of its CPU."""
    with collecting(table, http=True) as running:
        running.until_receiving()
        running.take(table)
        _until_answering(running)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
        ways = {
            "itself": {**clean, "BGPLEDGER_LOG_LEVEL": "info"},  # any setting has a command answer by itself
            "server": clean,
        }
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for number, prefix in enumerate(some_prefixes(table, _COMMANDS)):
            words = ["--data-dir", str(running.data_dir), "history", prefix]
            printed = set()
            for way in list(ways)[:: -1 if number % 2 else 1]:
                out, *costs = _timed(words, ways[way])
                printed.add(out)
                taken[way].append((costs[0], costs[1]))
            if len(printed) != 1:
                raise SystemExit(f"bgpledger {' '.join(words)} has two answers")
        values = {}
        for way, samples in taken.items():
            values[f"{way}_seconds"] = median(wall for wall, _ in samples)
            values[f"{way}_cpu"] = median(cpu for _, cpu in samples)
        return values


def _timed(words: Sequence[str], environment: Mapping[str, str]) -> tuple[bytes, float, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        [str(BIN / "bgpledger"), *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101  # a pipe
    with process.stdout as out:
        output = out.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bgpledger {' '.join(words)} failed")
    return output, time.monotonic() - began, used.ru_utime + used.ru_stime


def quiet(table: Table) -> dict[str, float]:
    """The whole table into a collector with an HTTP server that nobody asks."""
    return _load(table, clients=0)


def asked(table: Table) -> dict[str, float]:
    """The same while CLIENTS ask it for histories, each the next one as soon as it has the last."""
    return _load(table, clients=CLIENTS)


def _load(table: Table, clients: int) -> dict[str, float]:
    with collecting(table, http=True) as running:
        running.until_receiving()
        _until_answering(running)
        before = _server(running)
        with asking(running, table, clients) as answered:
            played, ended = running.take(table)
        values = {"seconds": ended - played.began, "updates": table.updates, **_costs(before, _server(running))}
        return values | answered


def at_rest(table: Table) -> dict[str, float]:
    """Histories of a whole table that is stored, asked one by one, then by CLIENTS each of which asks once a second."""
    with collecting(table, http=True) as running:
        running.until_receiving()
        running.take(table)
        _until_answering(running)
        before = _server(running)
        alone = sorted(_alone(running, some_prefixes(table, _QUESTIONS)))
        with asking(running, table, CLIENTS, pause=1.0) as answered:
            time.sleep(_QUESTIONS / CLIENTS)
        values = {"p50": alone[len(alone) // 2], "p95": alone[len(alone) * 95 // 100]}
        return values | answered | _costs(before, _server(running))


def _alone(running: Collector, prefixes: Sequence[str]) -> list[float]:
    return asyncio.run(_ask_for(running.http, prefixes))


async def _ask_for(address: str, prefixes: Sequence[str]) -> list[float]:
    seconds = []
    for prefix in prefixes:
        began = time.monotonic()
        await ask(address, prefix)
        seconds.append(time.monotonic() - began)
    return seconds


def _until_answering(running: Collector) -> None:
    deadline = time.monotonic() + _PATIENCE
    while local_server.find_server(str(running.data_dir)) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"the HTTP server does not start; see {running.data_dir}.log")
        time.sleep(0.1)


def _server(running: Collector) -> Usage:
    return usage(find(running.process.pid, *_PART))


def _costs(before: Usage, after: Usage) -> dict[str, float]:
    return {
        "http_cpu": after.cpu - before.cpu,
        "http_resident_before": before.resident,
        "http_resident_after": after.resident,
        "http_peak": after.peak,
    }


# --- clients --------------------------------------------------------------------------------------------------------


@contextmanager
def asking(running: Collector, table: Table, clients: int, pause: float = 0.0) -> Iterator[dict[str, float]]:
    """Clients that ask meanwhile, in a process of their own that gets what is left of the processors.

    Yields:
        Empty; when the block has ended, how many were `answered`, and the 95th percentile of their seconds.
    """
    found: dict[str, float] = {}
    if not clients:
        yield found
        return
    command = ["nice", "-n", "19", sys.executable, "-m", "benchmarks.over_http", running.http, str(clients), str(pause)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None  # noqa: S101  # a pipe
    process.stdin.write(json.dumps(some_prefixes(table, _QUESTIONS)) + "\n")
    process.stdin.flush()
    yield found
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the clients failed")
    found |= json.loads(output)


async def _ask_on_and_on(address: str, prefixes: Sequence[str], clients: int, pause: float) -> list[float]:
    """Ask until stdin ends; how long each answer took."""
    seconds: list[float] = []
    chance = random.Random(0)  # noqa: S311  # a choice, not a secret

    async def client() -> None:
        await asyncio.sleep(chance.uniform(0, pause))
        while True:
            began = time.monotonic()
            await ask(address, chance.choice(prefixes))
            seconds.append(time.monotonic() - began)
            await asyncio.sleep(max(pause - seconds[-1], 0))

    going = [asyncio.create_task(client()) for _ in range(clients)]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait((ended, *going), return_when=asyncio.FIRST_COMPLETED)
    for one in going:
        if one.done():
            one.result()
        one.cancel()
    return seconds


async def ask(address: str, prefix: str) -> bytes:
    """The history of a prefix, over a connection of its own.

    Raises:
        SystemExit: it is refused.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /api/v1/prefixes/{prefix}/history HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        response = await reader.read(-1)
    finally:
        writer.close()
    if b" 200 " not in response[:20]:
        raise SystemExit(f"the history of {prefix}: {response[:500].decode(errors='replace')}")
    return response


def _main() -> None:
    address, clients, pause = sys.argv[1:]
    prefixes = json.loads(sys.stdin.readline())
    seconds = sorted(asyncio.run(_ask_on_and_on(address, prefixes, int(clients), float(pause))))
    p95 = seconds[len(seconds) * 95 // 100] if seconds else 0.0
    sys.stdout.write(json.dumps({"answered": len(seconds), "together_p95": p95}))


if __name__ == "__main__":
    _main()
