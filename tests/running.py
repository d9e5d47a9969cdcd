"""A collector as a user runs it: `bgpledger run` as a process, asked with the command line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from random import sample
from time import monotonic, sleep

from collector.query.running import find_running
from collector.sources.known import find_instances
from collector.spool.state import inspect
from collector.store import credentials
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests import forked, stores
from tests.support import until

BGPLEDGER = str(Path(sys.executable).with_name("bgpledger"))


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
"""Which of the processes that run tests at once this is: each has ports of its own."""
_PORTS = cycle(sample(range(20_000 + 1000 * _WORKER, 21_000 + 1000 * _WORKER), 1000))


def free_port() -> int:
    """A port that is free at all addresses; neither the system (from 32768 on) nor another test takes it meanwhile.

    It is given out once only: a daemon may take a while until it listens.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))  # it does not listen
            return port


def bgpledger(*arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type a command, and wait for it."""
    return forked.run([BGPLEDGER, *arguments], timeout=timeout, environment={**_clean_environment(), **environment})


def _clean_environment() -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BGPLEDGER_")}
    return clean | {"BGPLEDGER_HTTP_LISTEN": "off"}  # many collectors run at once


class Collector:
    """A running collector.

    Args:
        data_dir: its data directory.
        process: its process.
        port: where it listens.
        log: what it has said.
    """

    def __init__(self, data_dir: Path, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.data_dir = data_dir
        self.process = process
        self.port = port
        self.log = log

    @property
    def target(self) -> str:
        """Where a replay goes to."""
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """The URI of its embedded store, with its password."""
        running = find_running(self.data_dir)
        assert running is not None
        assert running.mongodb_uri is not None
        password = credentials.read(self.data_dir)
        assert password is not None
        return credentials.signed(running.mongodb_uri, password)

    def ask(self, *arguments: str) -> list[JsonObject]:
        """Ask by the command line, and parse its lines."""
        done = bgpledger("--data-dir", str(self.data_dir), *arguments, "--format", "jsonl")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self) -> JsonObject:
        """What `status` says."""
        done = bgpledger("--data-dir", str(self.data_dir), "status", "--format", "json")
        assert done.returncode == 0, done.stderr
        found: JsonObject = json.loads(done.stdout)
        return found

    async def until_up(self) -> None:
        """Wait until it can be asked, and routers can connect."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            running = find_running(self.data_dir)
            if running is None:
                return False
            has_peers = running.peers or running.ranges  # without any, ExaBGP does not listen
            return not has_peers or is_listening(self.port)

        await until(ready, what="the collector runs")

    async def until_played(self, sessions: int) -> JsonObject:
        """Wait until so many sessions have ended, as those of a replay do, and all that came in them is stored."""
        async with Store.open(self.uri) as store:

            async def ended() -> bool:
                assert self.process.poll() is None, self.log.read_text()
                found = [one async for one in store.find("sessions", {"until": {"$exists": True}})]
                return len(found) >= sessions

            await until(ended, timeout=300, what=f"{sessions} sessions have ended")
        return await self.until_idle()

    async def until_idle(self) -> JsonObject:
        """Wait until every line that was read is stored or rejected, and say what `status` says then."""

        def idle() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return not any(inspect(instance.spool).waiting for instance in find_instances(self.data_dir))

        while True:
            await until(idle, timeout=300, what="no line waits")
            status = await asyncio.to_thread(self.status)
            assert status["read"] >= status["stored"] + status["rejected"]
            if status["waiting"] == 0:
                assert status["read"] == status["stored"] + status["rejected"]
                return status


def processes(pattern: str) -> list[int]:
    """All processes but ourselves whose command line, its arguments joined by blanks, has the pattern in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it has ended
                words = os.fsdecode((entry / "cmdline").read_bytes()).rstrip("\0").replace("\0", " ")
                if re.search(pattern, words):
                    found.append(int(entry.name))
    return found


@contextmanager
def collecting(
    data_dir: Path,
    *arguments: str,
    port: int | None = None,
    peers: Sequence[tuple[str, int]] = (),
    own_store: bool = True,
    **environment: str,
) -> Iterator[Collector]:
    """`bgpledger run` until the block ends; then Ctrl-C, which has to end it with status 0.

    Its own store, unless a variable or `own_store` says that it has none, has had its first start before.
    """
    port = port or free_port()
    command = [BGPLEDGER, "run", "--data-dir", str(data_dir), "--local-as", "65000", "--listen", f"127.0.0.1:{port}"]
    for address, asn in peers:
        command += ["--peer", f"{address},{asn}"]
    data_dir.mkdir(parents=True, exist_ok=True)
    if own_store and not {"BGPLEDGER_MONGODB_URI", "BGPLEDGER_MONGODB_URI_FILE"} & environment.keys():
        stores.put_store(data_dir)
    log = data_dir.with_suffix(".log")
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**_clean_environment(), **environment},
        )
    try:
        yield Collector(data_dir, process, port, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    """Whether a process listens at a port of this machine, at whichever address."""
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return any(f":{port:04X} " in line.split(_LISTENING)[0] for line in lines if _LISTENING in line)


_LISTENING = ":0000 0A "
"""After its own address: no other end, and the state TCP_LISTEN of the kernel's net/tcp_states.h."""


@contextmanager
def router(feed: Path, peer: str, to: str) -> Iterator[None]:
    """A router of an MRT file, which stays up when it has sent its routes.

    Like any router it waits for an ExaBGP that has not opened its port yet; `replay` itself would give up after ten
    seconds, and an ExaBGP on PyPy takes longer on a loaded machine.

    Args:
        feed: the file.
        peer: the router's address in it.
        to: the collector, `ADDRESS:PORT`.
    """
    deadline = monotonic() + 120
    while not is_listening(int(to.rpartition(":")[2])):
        assert monotonic() < deadline, f"nobody listens at {to}"
        sleep(0.1)
    command = [BGPLEDGER, "replay", str(feed), "--to", to, "--only-peer", peer, "--stay"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)
