"""Child processes: ending them together with the collector, and finding out whether a process is alive."""

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
    """Wrap a command so that the kernel sends it SIGTERM when the thread that starts it ends, however that ends.

    util-linux's setpriv does it (every Debian installation has it): running a function of ours between fork and exec
    would not be safe with threads. Without setpriv the command is returned unchanged.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


_REAPING_SECONDS = 1.0
_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TZDIR|TMPDIR|LD_.*|GLIBC_.*|MALLOC_.*|PYTHON.*|FAKETIME.*"
)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that needs none of our secrets: only variables that say where and how a program runs.

    Removing the known secrets would not be enough: a reload may add a peer whose password is in a variable that was
    passed on long before, and the names of other programs' tokens are unknown.
    """
    return {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}


async def start_group(
    command: str | Sequence[str],
    more: Mapping[str, str] = MappingProxyType({}),
    *,
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int | None = DEVNULL,
    limit: int = 2**16,
) -> Process:
    """Start somebody else's command in a process group of its own, without our secrets in its environment.

    Args:
        command: arguments, or a line for `/bin/sh`.
        more: additional environment variables.
        stdin: as for `subprocess`; nothing by default, like stdout.
        stdout: its standard output.
        stderr: its standard error; None: ours.
        limit: the maximum length in bytes of a line that it writes.

    Raises:
        OSError: it cannot be started.
    """
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return await asyncio.create_subprocess_exec(
        *bound_to_us(arguments),
        env={**without_secrets(os.environ), **more},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        limit=limit,
        start_new_session=True,
    )


def end_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to all processes of a command's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def kill_group(process: Process) -> None:
    """Kill all processes of a command's group, and wait until it has ended."""
    end_group(process, signal.SIGKILL)
    with suppress(TimeoutError):  # processes that left the group may still have its pipes open
        async with asyncio.timeout(_REAPING_SECONDS):
            await process.wait()


async def end_leftovers(arguments: Sequence[str], *, patience: float) -> list[int]:
    """End leftover processes of a killed collector, recognised by these consecutive arguments.

    The kernel only ends a child with its parent once the child has asked for that; one whose parent was killed just
    before, or that missed a SIGTERM while starting, survives.

    Args:
        arguments: a part of the command line that no other program has.
        patience: seconds until they are killed.

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
            break  # perhaps another user's
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
    """Whether there is a process with this number, of any user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
