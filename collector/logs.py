"""One log for all processes: lines on stderr, which a terminal, journald or a container keeps."""

from __future__ import annotations

import logging
import sys
import time

QUIET = ("asyncio", "pymongo", "motor", "uvicorn")


def log_to_stderr(level: str) -> None:
    """Send this process's log to stderr, each line with its time in UTC, level and part."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
