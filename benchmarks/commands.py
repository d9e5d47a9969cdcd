"""Commands as a user types them, by the clock on the wall."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.data import Table
from benchmarks.speakers import BIN

_RUNS = 5


def show_help(_table: Table) -> dict[str, float]:
    """`bgpledger --help`, the median of a few runs, and the same for `python -c pass`."""
    return {
        "seconds": sorted(_wall(str(BIN / "bgpledger"), "--help") for _ in range(_RUNS))[_RUNS // 2],
        "python": sorted(_wall(str(BIN / "python"), "-c", "pass") for _ in range(_RUNS))[_RUNS // 2],
    }


def show_history(data_dir: Path, prefix: str) -> float:
    """`bgpledger history`, seconds."""
    return _wall(str(BIN / "bgpledger"), "--data-dir", str(data_dir), "history", prefix)


def _wall(*command: str) -> float:
    began = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began
