"""Other processes: those that must not outlive us, and whether one lives."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def bound_to_us(command: Sequence[str]) -> list[str]:
    """The command, run so that the kernel sends it SIGTERM when the thread that starts it ends, however that ends.

    util-linux's setpriv does it (Debian has it in every installation): a function of ours between fork and exec would
    not be safe beside threads. Without setpriv the command runs unbound.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TZDIR|TMPDIR|LD_.*|GLIBC_.*|MALLOC_.*|PYTHON.*|FAKETIME.*"
)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that needs none of our secrets: what tells a program where and how it runs.

    Not all but the secrets that we know of: a reload may bring a peer whose password is in a variable that was
    handed down long before, and nobody tells us the names of other programs' tokens.
    """
    return {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}


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
