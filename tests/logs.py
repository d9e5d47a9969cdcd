"""What the processes of a failed test wrote last: often the only trace of a failure that cannot be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PATTERNS = ("log", "*.log", "lines", "acting.jsonl", "*/spool/*.jsonl")
"""Logs of daemons and of our own processes, the journal of orders, and what ExaBGP wrote."""
_LINES, _WIDTH = 16, 320


def last_words(directory: Path) -> Iterator[tuple[str, str]]:
    """For each log below a directory: its name there, and its last lines, each cut to a readable width."""
    for path in sorted({path for pattern in PATTERNS for path in directory.rglob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            lines = file.read().decode(errors="replace").splitlines()
        if lines:
            yield str(path.relative_to(directory)), "\n".join(line[:_WIDTH] for line in lines[-_LINES:])
