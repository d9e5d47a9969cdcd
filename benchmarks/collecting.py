"""A collector as a user runs it, `bgpledger run` with its embedded store, while a table is played into it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from benchmarks.data import Table
from benchmarks.processes import Usage, find, usage
from benchmarks.speakers import ADDRESS, BIN, LOCAL_AS, Played, free_port, play, workplace
from collector.query.running import find_running
from collector.spool import position
from collector.spool.state import inspect

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

    def until_receiving(self) -> None:
        """Wait until its receiver has begun, with the line that says so."""
        self._until(lambda: inspect(self.data_dir / "spool").read > 0, what="the receiver begins")

    def parts(self) -> dict[str, Usage]:
        """What its processes have used so far."""
        return {name: usage(find(self.process.pid, *words)) for name, words in PARTS.items()}

    def take(self, table: Table, *, already: int = 0) -> tuple[Played, float]:
        """Play a table, and wait until its last UPDATE can be queried; when that was.

        Args:
            table: what to play.
            already: UPDATEs that the store had before.
        """
        played = play(table, self.port)
        wanted = already + table.updates
        # The store is asked only when the spool says that it is done: questions cost it time.
        self._until(lambda: self._stored() >= wanted, what=f"{wanted} lines are stored")
        with MongoClient[dict[str, object]](self.uri) as client:
            updates = client["bgpledger"]["updates"]
            self._until(lambda: updates.estimated_document_count() >= wanted, what=f"{wanted} UPDATEs are there")
        return played, time.monotonic()

    def _stored(self) -> int:
        done = position.glance(self.data_dir / "spool")
        return int(done.note.get("stored", 0)) if done else 0

    def _until(self, condition: Callable[[], bool], *, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"it never came to pass that {what}; see {self.data_dir}.log")
            time.sleep(_GLANCE)


@contextmanager
def collecting(table: Table, **environment: str) -> Iterator[Collector]:
    """Run a collector that knows the table's peer, until the block ends."""
    with workplace() as place:
        data_dir, port = place / "data", free_port()
        command = [str(BIN / "bgpledger"), "run", "--data-dir", str(data_dir), "--local-as", str(LOCAL_AS)]
        command += ["--listen", f"{ADDRESS}:{port}", "--peer", f"{table.peer.source},{table.peer.asn}"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
        with (place / "data.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **environment}
            )
        try:
            yield Collector(process, data_dir, port, _until_running(data_dir, process))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_PATIENCE)


def _until_running(data_dir: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _PATIENCE
    while (running := find_running(data_dir)) is None or running.mongodb_uri is None:
        if time.monotonic() > deadline or process.poll() is not None:
            raise SystemExit(f"the collector does not start:\n{data_dir.with_suffix('.log').read_text()}")
        time.sleep(_GLANCE)
    return running.mongodb_uri
