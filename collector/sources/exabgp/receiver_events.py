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
"""What the system may take to end a process whose files it has closed."""


def exabgp(source: int = 0) -> int:
    """The process number of the ExaBGP that started us; 0 if it had gone before we asked: our parent is another then.

    Args:
        source: where we read from; ExaBGP holds the other end for as long as it lives.
    """
    parent = os.getppid()
    return 0 if _is_hung_up(source) else parent


def _is_hung_up(source: int) -> bool:
    there = select.poll()
    there.register(source, 0)  # it is told of a hang-up all the same
    return bool(there.poll(0))


def start(exabgp: int, reloads: int) -> bytes:
    """The line ahead of ExaBGP's own: a receiver was started; sessions may be up that it never heard of.

    Keys: `bgpledger`: "receive"; `event`: "start"; `time`: unix seconds; `pid`: this process; `ppid`: ExaBGP, whose
    lines carry the same number as `pid`; `incarnation`: what tells it from an ExaBGP that had that number before;
    `reloads`: how many there were so far.
    """
    known = incarnation(exabgp) if exabgp else None
    more = {"incarnation": known} if known else {}
    return _line("start", exabgp, host=socket.gethostname(), reloads=reloads, **more)


def reload(exabgp: int, reloads: int) -> bytes:
    """The line ahead of all that ExaBGP may say since it was told to read its configuration again.

    Args:
        exabgp: what `exabgp` gave.
        reloads: how many there were, this one as well.
    """
    return _line("reload", exabgp, reloads=reloads)


def clock(exabgp: int, step: float) -> bytes:
    """The line where the clock was set, ahead of the first line by the clock as it is now.

    Args:
        exabgp: what `exabgp` gave.
        step: by how much, in seconds; less than 0 when it was set back.
    """
    return _line("clock", exabgp, step=round(step, 3))


def has_ended(exabgp: int, source: int = 0) -> bool:
    """Whether ExaBGP has ended, and not only closed its pipe.

    Args:
        exabgp: what `exabgp` gave.
        source: where we read from.
    """
    if not _is_hung_up(source):
        return False
    deadline = time.monotonic() + _ENDING_SECONDS
    while os.getppid() == exabgp:  # of a process that ends, files are closed first
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def end(exabgp: int, *, ended: bool) -> bytes:
    """The line behind ExaBGP's last one: nothing is left in its pipe.

    Args:
        exabgp: what `exabgp` gave.
        ended: whether ExaBGP has ended too (key `ended`, absent if not).
    """
    return _line("end", exabgp, **({"ended": True} if ended else {}))


def dropped(exabgp: int, since: float, lines: int, size: int, reason: str) -> bytes:
    """The line in the place of those for which there was no room.

    Args:
        exabgp: what `exabgp` gave.
        since: when room ran out; unix seconds.
        lines: how many lines of ExaBGP's are not there.
        size: their bytes.
        reason: what the system said.
    """
    return _line("dropped", exabgp, since=since, lines=lines, bytes=size, reason=reason[:300])


def _line(event: str, exabgp: int, **more: Any) -> bytes:
    line = {"bgpledger": "receive", "event": event, "time": time.time(), "pid": os.getpid(), "ppid": exabgp}
    return json.dumps({**line, **more}).encode() + b"\n"


def incarnation(pid: int) -> str | None:
    """The boot and the clock tick at which a process began (proc(5)); None where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return f"{boot}/{ticks}"
