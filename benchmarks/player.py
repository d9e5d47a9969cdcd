"""Plays an MRT file into a BGP daemon, and prints when: `python -m benchmarks.player FILE ADDRESS PORT SOURCE`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from collector.replay.player import plan, play


def main() -> None:
    """Print `began` (all sessions up, the first UPDATE goes out) and `ended`, in seconds of CLOCK_MONOTONIC."""
    path, address, port, source = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    summary = asyncio.run(play(path, (address, port), plan(path, source=source)))
    ended = time.monotonic()
    json.dump({"began": ended - summary.seconds, "ended": ended, "messages": summary.messages}, sys.stdout)


if __name__ == "__main__":
    main()
