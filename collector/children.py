"""Processes that must not outlive us."""

from __future__ import annotations

import shutil
from collections.abc import Sequence


def bound_to_us(command: Sequence[str]) -> list[str]:
    """The command, run so that the kernel sends it SIGTERM when the thread that starts it ends, however that ends.

    util-linux's setpriv does it (Debian has it in every installation): a function of ours between fork and exec would
    not be safe beside threads. Without setpriv the command runs unbound.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)
