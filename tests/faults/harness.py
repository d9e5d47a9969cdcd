"""The whole collector, as a user runs it, and a killer of its processes.

The product knows nothing of this: processes are found in /proc, and the segments of the spool are kept for the audit
by hard links, made while they grow.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from collector.sources.known import find_instances
from collector.spool.segment import segments
from collector.spool.state import inspect
from collector.store import embedded
from collector.store.embedded_process import EmbeddedStore
from schemas.json_object import JsonObject
from tests import stores
from tests.running import BGPLEDGER, bgpledger, free_port
from tests.support import until

COLLECTOR = "faults"
PARTS = ("run", "archiver", "store", "exabgp", "receive")
WITH_BMP = (*PARTS, "bmp", "archiver-bmp")
"""What lives of a collector that takes BMP besides: a receiver and an archiver more."""
RELOAD = "reload"
"""Not a part, and not killed: `run` is told to read its configuration again."""


def parts(run: int) -> dict[str, int]:
    """The living processes of a collector, by part, with the instance unless it is the first: `receive-1`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: dict[str, int] = {}
    waiting = [run]
    while waiting:
        pid = waiting.pop()
        waiting.extend(children.get(pid, ()))
        if part := "run" if pid == run else _part(pid):
            found.setdefault(part, pid)  # a child looks like its parent until it has become another program
    return found


def _part(pid: int) -> str | None:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    except (OSError, UnicodeDecodeError):
        return None
    names = [Path(word).name for word in words]
    for part, sign in {
        "archiver": "archive",
        "store": "secantusd-py",
        "exabgp": "server",
        "receive": "receive",
        "bmp": "receive-bmp",
        "acting": "act",
    }.items():
        if sign in names:
            return part + _label(names)
    return None


def _label(names: Sequence[str]) -> str:
    """The instance that a command line names: by its spool, its number, or ExaBGP's configuration file."""
    for before, name in pairwise(names):
        if before == "--instance":
            return f"-{name}"
        if before == "--spool":
            return name.removeprefix("spool")
    found = re.fullmatch(r"exabgp(-\d+)\.conf", names[-1])
    return found[1] if found else ""


def resident(pid: int) -> int:
    """The resident memory of a process, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no VmRSS")


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process (proc(5): utime, stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Tee(threading.Thread):
    """Keeps every segment that the spool ever has, under a second name."""

    def __init__(self, spool: Path, kept: Path) -> None:
        super().__init__(daemon=True)
        self._spool, self._kept = spool, kept
        self._seen: set[str] = set()
        self._done = threading.Event()
        kept.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        while not self._done.wait(0.01):
            self.look()

    def look(self) -> None:
        for segment in segments(self._spool):
            if segment.path.name not in self._seen:
                with suppress(FileNotFoundError):  # a gap that the audit will find
                    os.link(segment.path, self._kept / segment.path.name)
                    self._seen.add(segment.path.name)

    def stop(self) -> None:
        self._done.set()
        self.join()
        self.look()


class Outside:
    """A store that is a server elsewhere, not the collector's: killed like the rest, and away for as long as we say.

    Args:
        directory: where its files are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: EmbeddedStore | None = None

    @property
    def uri(self) -> str:
        assert self._server is not None
        return self._server.uri

    @property
    def port(self) -> int:
        return urlsplit(self.uri).port or 0

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server and self._server.process.poll() is None else None

    async def start(self) -> None:
        """Start it at its earlier address."""
        before = self._server and self._server.uri
        stores.put_store(self._directory)
        self._server = await embedded.start(self._directory)
        assert before in (None, self._server.uri), "somebody took its port"

    def kill(self) -> None:
        assert self._server is not None
        self._server.process.kill()
        self._server.process.wait()

    async def stop(self) -> None:
        if self.pid and self._server:
            await self._server.stop()
            self._server = None  # after a regular end no address is left to come back to


class Target:
    """A collector that is killed and started again.

    Args:
        data_dir: its data directory; the segments of its spool are kept in `kept` beside it.
        peers: addresses and AS numbers that call.
        port: where it listens; a free one otherwise.
        config: a configuration besides.
        environment: settings.
    """

    def __init__(
        self,
        data_dir: Path,
        peers: Sequence[tuple[str, int]],
        port: int | None = None,
        config: Path | None = None,
        /,
        **environment: str,
    ) -> None:
        self.data_dir = data_dir
        self.kept = data_dir.with_name("kept")
        self.log = data_dir.with_suffix(".log")
        self.port = port or free_port()
        self._command = [BGPLEDGER, "run", "--data-dir", str(data_dir), "--local-as", "65000"]
        self._command += ["--listen", f"127.0.0.1:{self.port}"]
        for address, asn in peers:
            self._command += ["--peer", f"{address},{asn}"]
        self._command += ["--config", str(config)] if config else []
        own = {key: value for key, value in os.environ.items() if not key.startswith("BGPLEDGER_")}
        own["BGPLEDGER_HTTP_LISTEN"] = "off"  # many collectors run at once
        self._environment = {**own, "BGPLEDGER_COLLECTOR": COLLECTOR, "BGPLEDGER_SPOOL_SEGMENT_MIB": "1", **environment}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=self._environment,
            )

    def parts(self) -> dict[str, int]:
        return parts(self.process.pid)

    def assert_alive(self) -> None:
        assert self.process.poll() is None, f"`run` gave up:\n{self.tail()}"

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]

    def kill(self, part: str, pid: int) -> None:
        """Kill -9 a part; `run` is restarted at once, and restarts the others itself."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if part == "run":
            self.process.wait()
            self.process = self._start()

    async def until_up(self, *, parts: Sequence[str] = PARTS, timeout: float = 90) -> None:
        """Wait until these parts run, and ExaBGP's receiver has begun: a stop before that would come too early."""

        def up() -> bool:
            self.assert_alive()
            found = self.parts()
            return set(found) >= set(parts) - {"store"} and self._has_begun(found.get("receive"))

        await until(up, timeout=timeout, what=f"all parts live, not only {sorted(self.parts())}")

    def _has_begun(self, receiver: int | None) -> bool:
        """Whether the line with which a receiver begins is in the spool."""
        begins = f'"event": "start", "time": [0-9.]+, "pid": {receiver},'.encode()
        kept = reversed([*segments(self.kept)])
        return receiver is None or any(re.search(begins, segment.path.read_bytes()) for segment in kept)

    async def until_idle(self, *, timeout: float = 300) -> None:
        """Wait until no line waits in the spool."""

        def idle() -> bool:
            self.assert_alive()
            return not any(inspect(instance.spool).waiting for instance in find_instances(self.data_dir))

        while True:
            await until(idle, timeout=timeout, what="no line waits")
            status = await asyncio.to_thread(self.status)
            assert status["read"] == status["stored"] + status["rejected"] + status["waiting"]
            if status["waiting"] == 0:
                return

    def status(self) -> JsonObject:
        """The output of `status`; it fails when the store is away, and prints all the same."""
        done = bgpledger("--data-dir", str(self.data_dir), "status", "--format", "json")
        found: JsonObject = json.loads(done.stdout)
        return found

    def reload(self) -> None:
        """Let it read its configuration again."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Stop it by Ctrl-C, which must end it regularly."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.tail()

    def kill_all(self) -> None:
        for pid in self.parts().values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def target(
    data_dir: Path,
    peers: Sequence[tuple[str, int]],
    port: int | None = None,
    config: Path | None = None,
    /,
    **environment: str,
) -> Iterator[Target]:
    """A collector and its tee; whatever happens, none of its processes is left."""
    data_dir.mkdir(parents=True)
    if "BGPLEDGER_MONGODB_URI" not in environment:
        stores.put_store(data_dir)
    one = Target(data_dir, peers, port, config, **environment)
    tee = Tee(data_dir / "spool", one.kept)
    tee.start()
    try:
        yield one
    finally:
        one.kill_all()
        tee.stop()


class Killer:
    """Kills one part after another, whether or not the others have come back by then.

    Args:
        one: whose parts.
        outside: the store, where it is not one of them.
        chance: decides what dies, when, and how long the outside store is away.
        parts: what may die, `RELOAD` among them if it may; each does once before any dies again.
    """

    def __init__(
        self, one: Target, outside: Outside | None, chance: random.Random, parts: Sequence[str] = PARTS
    ) -> None:
        self.killed: Counter[str] = Counter()
        self._one, self._outside, self._chance = one, outside, chance
        self._parts = parts
        self._starting: asyncio.Task[None] | None = None

    async def kill(self, times: int, *, longest_pause: float) -> None:
        left: list[str] = []
        for _ in range(times):
            await asyncio.sleep(self._chance.uniform(0, longest_pause))
            self._one.assert_alive()
            # A part that is not there, as it is pausing, is waited for: else `run`, which always is there, would die
            # each time before it has done anything.
            left = left or self._chance.sample(self._parts, len(self._parts))
            part = left.pop()
            alive = await until(partial(self._alive_with, part), timeout=120, what=f"{part} lives")
            if self._outside and part == "store":
                self._outside.kill()
                self._starting = asyncio.create_task(self._start_store(self._chance.uniform(0, 2 * longest_pause)))
            elif part == RELOAD:
                self._one.reload()
            else:
                self._one.kill(part, alive[part])
            self.killed[part] += 1
        if self._starting:
            await self._starting

    def figures(self) -> str:
        by_part = ", ".join(f"{part} {count}" for part, count in sorted(self.killed.items()))
        return f"{self.killed.total()} kills ({by_part})"

    def _alive(self) -> dict[str, int]:
        alive = self._one.parts()
        if "exabgp" in alive:  # before that, nobody would heed the signal
            alive[RELOAD] = alive["run"]
        if self._outside and self._outside.pid and (self._starting is None or self._starting.done()):
            alive["store"] = self._outside.pid
        return alive

    def _alive_with(self, part: str) -> dict[str, int] | None:
        self._one.assert_alive()
        alive = self._alive()
        return alive if part in alive else None

    async def _start_store(self, pause: float) -> None:
        assert self._outside is not None
        await asyncio.sleep(pause)
        await self._outside.start()
