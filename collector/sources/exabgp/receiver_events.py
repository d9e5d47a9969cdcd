"""The receiver's own lines among ExaBGP's: its start, what it noticed, what it dropped, its end."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from pathlib import Path
from typing import Any

_ENDING_SECONDS = 0.5
"""How long the system may take to end a process after closing its files."""


def exabgp(source: int = 0) -> int:
    """The process number of the ExaBGP that started us; 0 if it had ended before, and our parent is another process.

    Args:
        source: the pipe that we read; ExaBGP holds the other end while it runs.
    """
    parent = os.getppid()
    return 0 if _is_hung_up(source) else parent


def _is_hung_up(source: int) -> bool:
    there = select.poll()
    there.register(source, 0)  # a hang-up is reported anyway
    return bool(there.poll(0))


def start(exabgp: int, reloads: int) -> bytes:
    """The line before ExaBGP's own: a receiver was started; sessions may be up whose beginning it never received.

    Keys: `bgpledger`: "receive"; `event`: "start"; `time`: unix seconds; `pid`: this process; `ppid`: ExaBGP, whose
    lines have the same number as `pid`; `incarnation`: what distinguishes it from an earlier ExaBGP with that number;
    `reloads`: the number of reloads so far.
    """
    known = incarnation(exabgp) if exabgp else None
    more = {"incarnation": known} if known else {}
    return _line("start", exabgp, host=socket.gethostname(), reloads=reloads, **more)


def reload(exabgp: int, reloads: int) -> bytes:
    """The line before everything that ExaBGP may write since it was told to reload its configuration.

    Args:
        exabgp: the value of `exabgp`.
        reloads: the number of reloads, including this one.
    """
    return _line("reload", exabgp, reloads=reloads)


def clock(exabgp: int, step: float) -> bytes:
    """The line about a clock change, before the first line by the new clock.

    Args:
        exabgp: the value of `exabgp`.
        step: the change in seconds; negative if it was set back.
    """
    return _line("clock", exabgp, step=round(step, 3))


def has_ended(exabgp: int, source: int = 0) -> bool:
    """Whether ExaBGP has ended, and not only closed its pipe; False if that cannot be known.

    Args:
        exabgp: the value of `exabgp`.
        source: the pipe that we read.
    """
    if not exabgp or not _is_hung_up(source):
        return False
    deadline = time.monotonic() + _ENDING_SECONDS
    while os.getppid() == exabgp:  # when a process ends, its files are closed first
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end(exabgp: int, *, ended: bool) -> bytes:
    """The line after ExaBGP's last one: its pipe is empty.

    Args:
        exabgp: the value of `exabgp`.
        ended: whether ExaBGP has ended too (key `ended`, absent if not).
    """
    return _line("end", exabgp, **({"ended": True} if ended else {}))


def dropped(exabgp: int, since: float, lines: int, size: int, reason: str) -> bytes:
    """The line in place of those for which there was no room.

    Args:
        exabgp: the value of `exabgp`.
        since: when room ran out; unix seconds.
        lines: the number of ExaBGP's lines that are missing.
        size: their size in bytes.
        reason: the system's error message.
    """
    return _line("dropped", exabgp, since=since, lines=lines, bytes=size, reason=reason[:300])


def _line(event: str, exabgp: int, **more: Any) -> bytes:
    line = {"bgpledger": "receive", "event": event, "time": time.time(), "pid": os.getpid(), "ppid": exabgp}
    return json.dumps({**line, **more}).encode() + b"\n"


def incarnation(pid: int) -> str | None:
    """The boot and the clock tick at which a process began (proc(5)); None without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return f"{boot}/{ticks}"
