"""CPU time and memory of running programs, from /proc (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True)
class Usage:
    """What one process has used so far.

    Attributes:
        cpu: seconds, its own and the kernel's on its behalf.
        resident: bytes of memory that it holds now.
        peak: the most bytes that it ever held.
    """

    cpu: float
    resident: int
    peak: int


def usage(pid: int) -> Usage:
    """Look at a process that lives."""
    fields = _stat(pid)
    memory = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm")
    )
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
        resident=int(memory["VmRSS"].split()[0]) * _KIB,
        peak=int(memory["VmHWM"].split()[0]) * _KIB,
    )


def descendants(pid: int) -> dict[int, str]:
    """The children of a process, theirs and so on, each with its command line."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            waiting.append(child)
    return found


def find(pid: int, *words: str) -> int:
    """The one descendant whose command line has all these words.

    Raises:
        LookupError: there is none, or several.
    """
    found = [child for child, command in descendants(pid).items() if all(word in command for word in words)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} descendants of {pid} are like {' '.join(words)!r}")
    return found[0]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything: from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
