"""What a core did in version 0.1 and what it does now, line for line, in turns of a moment each."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.data import ROOT, WORK, Table

COMMIT = "ef77bc045c2a8e98ad763a03bb6bd829e9bfc379"
"""Version 0.1. Not its tag, v0.1.0: a clone may come without tags."""
_LINES = 3000
"""Of one turn: a fifth of a second, so that whatever slows this machine down slows both down."""

# Both versions have `benchmarks.decoding._encode`: from lines to BSON, without a store.
_WORKER = """
import sys, time
from itertools import islice
from benchmarks.decoding import _encode
with open(sys.argv[1], "rb") as lines:
    while part := [line.rstrip(b"\\n") for line in islice(lines, int(sys.argv[2]))]:
        sys.stdin.readline()
        began = time.process_time()
        _encode(part)
        print(time.process_time() - began, flush=True)
"""


def missing() -> str | None:
    """Why version 0.1 cannot be run here."""
    found = subprocess.run(["git", "cat-file", "-e", COMMIT], cwd=ROOT, capture_output=True, check=False)
    return "this clone lacks the commits of version 0.1: git fetch --unshallow" if found.returncode else None


def compare(table: Table) -> dict[str, float]:
    """CPU seconds of the archiver's work for the table's lines, without a store: of version 0.1 and of this one."""
    with table.lines_path.open("rb") as lines:
        turns = -(-sum(1 for _ in lines) // _LINES)
    with ExitStack() as ends:
        workers = [ends.enter_context(_Worker(root, table)) for root in (checkout(), ROOT)]
        cpu = [0.0, 0.0]
        for turn in range(turns):
            for which in (0, 1) if turn % 2 else (1, 0):
                cpu[which] += workers[which].take_turn()
    return {"before": cpu[0], "now": cpu[1], "updates": table.updates}


class _Worker:
    """One version, that waits for its turns."""

    def __init__(self, root: Path, table: Table) -> None:
        command = [str(root / ".venv/bin/python"), "-c", _WORKER, str(table.lines_path), str(_LINES)]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()

    def take_turn(self) -> float:
        """The CPU seconds of the next lines.

        Raises:
            SystemExit: they could not be read; the program has said why.
        """
        os.write(self._process.stdin.fileno(), b"\n")  # type: ignore[union-attr]  # both are pipes
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit("a version of the program could not read the lines")
        return float(line)


def checkout() -> Path:
    """Version 0.1 with its own environment; made when it is first asked for."""
    place = WORK / "v0.1.0"
    if not place.exists():
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)  # of one that `make clean` has removed
        subprocess.run(["git", "worktree", "add", "-q", "--detach", place, COMMIT], cwd=ROOT, check=True)
    subprocess.run(["make", ".venv/.ready", f"PYTHON={sys.base_prefix}/bin/python3"], cwd=place, check=True)
    return place
