"""What questions cost in version 0.1 and now: each version's commands, on a store of its own with the same table."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.data import ROOT, Table
from benchmarks.earlier import checkout
from benchmarks.speakers import workplace
from benchmarks.whole_table import some_prefixes

_AT = "2026-01-02T01:00:00Z"
"""An hour behind the stored table; see `benchmarks.asking`."""
_RIBS, _HISTORIES = 3, 10
_PROJECTOR = {True: "collector.ledger.project", False: "collector.rib.rebuilding"}
"""Where version 0.1, and this one, have what stores tables."""

_SERVER = """
import asyncio, sys
from pathlib import Path
from benchmarks.asking import _fill
from benchmarks.data import Table
from collector.store import embedded
from collector.store.mongo import Store
from {projector} import Rhythm, rebuild

async def main():
    server = await embedded.start(Path(sys.argv[1]), None)
    try:
        async with Store.open(server.uri, timeout=120) as store:
            await store.prepare()
            await _fill(store, Table(Path(sys.argv[2])).documents())
            await rebuild(store, Rhythm(8, 5000))
        print(server.uri, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    finally:
        await server.stop()

asyncio.run(main())
"""


def compare(table: Table) -> dict[str, float]:
    """Seconds of both versions' commands, on the clock and of their own CPU: 0.1's (`before`) and ours (`now`).

    For histories also those of a program that only has the same packages (`bare`).
    """
    earlier = checkout()
    lines = earlier / ".bench" / table.lines_path.name
    lines.parent.mkdir(exist_ok=True)
    if not lines.exists():
        lines.symlink_to(table.lines_path)
    with (
        workplace() as place,
        _served(earlier, place / "before", table) as before,
        _served(ROOT, place / "now", table) as now,
    ):
        both = {"before": _bgpledger(earlier, before), "now": _bgpledger(ROOT, now)}
        rib = ("rib", "--at", _AT, "--format", "jsonl")
        values = _in_turns("rib", both, [rib] * _RIBS)
        histories = [("history", prefix) for prefix in some_prefixes(table, _HISTORIES)]
        bare = _command(now, str(ROOT / ".venv/bin/python"), str(ROOT / "benchmarks/bare_history.py"))
        return values | _in_turns("history", both | {"bare": lambda words: bare(words[1:])}, histories)


Ask = Callable[[Sequence[str]], tuple[float, float]]
"""Runs a command; seconds on the clock, and of CPU."""


def _in_turns(name: str, versions: Mapping[str, Ask], commands: Sequence[Sequence[str]]) -> dict[str, float]:
    taken: dict[str, list[tuple[float, float]]] = {version: [] for version in versions}
    for number, command in enumerate(commands):
        for version in list(versions)[:: -1 if number % 2 else 1]:
            taken[version].append(versions[version](command))
    found = {}
    for version, samples in taken.items():
        found[f"{name}_{version}"] = median(wall for wall, _ in samples)
        found[f"{name}_{version}_cpu"] = median(cpu for _, cpu in samples)
    return found


@contextmanager
def _served(root: Path, place: Path, table: Table) -> Iterator[str]:
    """A version's own store, filled: its URI."""
    place.mkdir(mode=0o700)
    code = _SERVER.format(projector=_PROJECTOR[root != ROOT])
    command = [str(root / ".venv/bin/python"), "-c", code, str(place), str(table.path)]
    server = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None  # noqa: S101  # a pipe
    assert server.stdout is not None  # noqa: S101
    try:
        uri = server.stdout.readline().strip()
        if not uri:
            raise SystemExit(f"the store of {root} could not be filled")

        yield uri
    finally:
        server.stdin.close()
        server.wait()


def _bgpledger(root: Path, uri: str) -> Ask:
    return _command(uri, str(root / ".venv/bin/bgpledger"))


def _command(uri: str, *program: str) -> Ask:
    environment = {**os.environ, "BGPLEDGER_MONGODB_URI": uri}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode

    def ask(words: Sequence[str]) -> tuple[float, float]:
        command = [*program, *words]
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed")
        return time.monotonic() - began, used.ru_utime + used.ru_stime

    return ask
