"""A collector as a user runs it, `bgpledger run` with its embedded store, while a table is played into it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from benchmarks.data import Table
from benchmarks.processes import Usage, find, usage
from benchmarks.speakers import ADDRESS, BIN, LOCAL_AS, Played, ends, free_port, play, workplace
from benchmarks.stores import STORE
from collector.instances import Instance
from collector.query.running import find_running
from collector.spool import position
from collector.spool.state import inspect
from collector.store import credentials

PARTS = {
    "exabgp": ("exabgp", "server"),
    "receive": ("bgpledger", "receive"),
    "archiver": ("bgpledger", "archive"),
    "store": ("secantusd",),
}
"""Its processes, and words of their command lines."""

_PATIENCE = 900.0
_GLANCE = 0.02


@dataclass(frozen=True)
class Collector:
    """A collector that can be asked."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    port: int
    uri: str
    peers: int
    instances: Sequence[Instance]
    http: str
    """Where its HTTP server is: ADDR:PORT, or `off`."""

    def until_receiving(self) -> None:
        """Wait until its receivers have begun, with the line that says so."""
        self._until(
            lambda: all(inspect(instance.spool).read > 0 for instance in self.instances), what="the receivers begin"
        )

    def parts(self) -> dict[str, Usage]:
        """What its processes have used so far."""
        return {name: usage(find(self.process.pid, *words)) for name, words in PARTS.items()}

    def take(self, table: Table, *, already: int = 0) -> tuple[Played, float]:
        """Play a table by every peer, and wait until the last UPDATE can be queried; when that was.

        Args:
            table: what to play.
            already: UPDATEs that the store had before.
        """
        played = play(table, self.port, self.peers)
        wanted = already + self.peers * table.updates
        # The store is asked only when the spool says that it is done: questions cost it time.
        self._until(lambda: self._stored() >= wanted, what=f"{wanted} lines are stored")
        with MongoClient[dict[str, object]](self.uri) as client:
            updates = client["bgpledger"]["updates"]
            self._until(lambda: updates.estimated_document_count() >= wanted, what=f"{wanted} UPDATEs are there")
        return played, time.monotonic()

    def _stored(self) -> int:
        done = [position.glance(instance.spool) for instance in self.instances]
        return sum(int(one.note.get("stored", 0)) for one in done if one)

    def _until(self, condition: Callable[[], bool], *, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"it never came to pass that {what}; see {self.data_dir}.log")
            time.sleep(_GLANCE)


@contextmanager
def collecting(
    table: Table, *, python: str | None = None, peers: int = 1, processes: int = 1, http: bool = False, more: str = ""
) -> Iterator[Collector]:
    """Run a collector that knows the table's peer, or several that have it, until the block ends.

    Args:
        table: what will be played.
        python: what runs ExaBGP, if not our own.
        peers: how many have it, each coming to an address of its own.
        processes: how many ExaBGP processes share them.
        http: run its HTTP server too.
        more: more of its configuration.
    """
    with workplace() as place:
        data_dir, port, config = place / "data", free_port(), place / "collector.toml"
        exabgp = {"processes": processes, **({"python": python} if python else {})}
        store = {"embedded": STORE} if STORE else {}
        config.write_text(_section("[exabgp]", exabgp) + _section("[mongodb]", store) + _peers(table, peers) + more)
        command = [str(BIN / "bgpledger"), "run", "--data-dir", str(data_dir), "--local-as", str(LOCAL_AS)]
        command += ["--listen", f"{ADDRESS}:{port}", "--config", str(config)]
        listen = f"{ADDRESS}:{free_port()}" if http else "off"
        command += ["--http", listen]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
        clean["BGPLEDGER_HTTP_RATE"] = "100000"  # all clients are one address here
        with (place / "data.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean)
        try:
            instances = [Instance(data_dir, number) for number in range(processes)]
            uri = _until_running(data_dir, process)
            yield Collector(process, data_dir, port, uri, peers, instances, listen)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE)


def _peers(table: Table, count: int) -> str:
    text = ""
    for source, local in (ends(table, peer) for peer in range(count)):
        facts = {"address": source, "asn": table.peer.asn, "local_address": local, "passive": True}
        text += _section("[[peers]]", facts)
    return text


def _section(head: str, values: Mapping[str, object]) -> str:
    return f"{head}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def _until_running(data_dir: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _PATIENCE
    while (running := find_running(data_dir)) is None or running.mongodb_uri is None:
        if time.monotonic() > deadline or process.poll() is not None:
            raise SystemExit(f"the collector does not start:\n{data_dir.with_suffix('.log').read_text()}")
        time.sleep(_GLANCE)
    return credentials.signed(running.mongodb_uri, credentials.read(data_dir) or "")
