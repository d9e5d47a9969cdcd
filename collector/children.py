"""Child processes: ending them with the collector, and finding out whether a process is alive."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType


def bound_to_us(command: Sequence[str]) -> list[str]:
    """The command, run so that the kernel sends it SIGTERM when the thread that starts it ends, however that ends.

    util-linux's setpriv does it (Debian has it in every installation): a function of ours between fork and exec would
    not be safe beside threads. Without setpriv the command runs unbound.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


_REAPING_SECONDS = 1.0
_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TZDIR|TMPDIR|LD_.*|GLIBC_.*|MALLOC_.*|PYTHON.*|FAKETIME.*"
)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that needs none of our secrets: what tells a program where and how it runs.

    Not all but the secrets that we know of: a reload may bring a peer whose password is in a variable that was
    handed down long before, and nobody tells us the names of other programs' tokens.
    """
    return {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}


async def start_group(
    command: str | Sequence[str],
    told: Mapping[str, str] = MappingProxyType({}),
    *,
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int | None = DEVNULL,
    limit: int = 2**16,
) -> Process:
    """Start somebody else's command in a process group of its own, without our secrets in its environment.

    Args:
        command: arguments, or a line for `/bin/sh`, which its author wrote for it.
        told: what stands in its environment besides.
        stdin: as for `subprocess`; nothing unless told, as for the other two.
        stdout: where it writes to.
        stderr: where its errors go; None: where ours do.
        limit: bytes of a line that it may write.

    Raises:
        OSError: it cannot be started.
    """
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return await asyncio.create_subprocess_exec(
        *bound_to_us(arguments),
        env={**without_secrets(os.environ), **told},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        limit=limit,
        start_new_session=True,
    )


def end_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to all processes of its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def kill_group(process: Process) -> None:
    """End all processes of its group at once, and wait until it has ended."""
    end_group(process, signal.SIGKILL)
    with suppress(TimeoutError):  # what has left the group may have its pipes open yet
        async with asyncio.timeout(_REAPING_SECONDS):
            await process.wait()


async def end_leftovers(arguments: Sequence[str], *, patience: float) -> list[int]:
    """End processes that have these arguments, one behind the other, of one like us that was killed.

    The kernel only tells a child from the moment on that it has asked for that; one whose parent was killed just
    before, or that overlooks a SIGTERM as it starts, lives on.

    Args:
        arguments: a part of the command line, which nobody else's has.
        patience: seconds until they are ended by force.

    Returns:
        Their process numbers.
    """
    ended: list[int] = []
    deadline = asyncio.get_running_loop().time() + patience
    while found := _with_arguments(arguments):
        late = asyncio.get_running_loop().time() > deadline
        for pid in found:
            if late or pid not in ended:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        ended += [pid for pid in found if pid not in ended]
        if late and asyncio.get_running_loop().time() > deadline + patience:
            break  # another user's, perhaps
        await asyncio.sleep(0.1)
    return ended


def _with_arguments(arguments: Sequence[str]) -> list[int]:
    part = b"".join(b"\0" + os.fsencode(argument) for argument in arguments) + b"\0"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended
                if (entry / "cmdline").read_bytes().find(part) >= 0:
                    found.append(int(entry.name))
    return found


def lives(pid: int) -> bool:
    """Whether there is a process of this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
