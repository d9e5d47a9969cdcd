"""The machine: what is installed, and how it is configured."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import collector
from collector.doctor.result import CheckResult
from collector.errors import BgpledgerError
from collector.sources.exabgp.program import exabgp_command

_PIPE_BYTES = 2**20
_COMMAND_SECONDS = 30


def examine_machine(exabgp_python: str | None = None) -> Iterator[CheckResult]:
    """Check what is installed here, including ExaBGP under the given Python."""
    yield CheckResult("ok", "python", platform.python_version())
    yield _exabgp(exabgp_python)
    yield _setpriv()
    yield _pipe()
    yield _clock()


# --- the machine ----------------------------------------------------------------------------------------------------


def _exabgp(python: str | None) -> CheckResult:
    cure = "install this program's requirements again: make .venv/.ready, or pip install bgpledger"
    if python is not None:
        cure = f"install {python} (Debian: apt-get install pypy3), or leave exabgp.python out"
    try:
        command = exabgp_command(python, "version")
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, BgpledgerError) as error:
        return CheckResult("error", "exabgp", f"does not start: {error}", cure)
    found = re.search(r"ExaBGP\s*:\s*(\S+)", done.stdout)
    if done.returncode or not found:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing said").splitlines()[-1]
        return CheckResult("error", "exabgp", f"does not start: {last}", cure)
    version = found[1]
    if not version.startswith("5."):
        return CheckResult("error", "exabgp", f"{version} is not supported: this program needs 5.0", cure)
    runs = re.search(r"Python\s*:\s*(.+?)\s*$", done.stdout, re.MULTILINE)
    return CheckResult("ok", "exabgp", f"{version} on {runs[1]}" if python and runs else version)


def _setpriv() -> CheckResult:
    if shutil.which("setpriv"):
        return CheckResult("ok", "setpriv", "installed: child processes end with the collector")
    return CheckResult(
        "warning",
        "setpriv",
        "not installed: ExaBGP and the store would survive a collector that is killed",
        "install util-linux",
    )


def _pipe() -> CheckResult:
    file = Path("/proc/sys/fs/pipe-max-size")
    try:
        size = int(file.read_text())
    except (OSError, ValueError):
        return CheckResult(
            "warning", "pipe", f"{file} cannot be read", "nothing to do; there is less buffer for a slow disk"
        )
    if size < _PIPE_BYTES:
        return CheckResult(
            "warning",
            "pipe",
            f"holds {size} bytes at most: a slow disk delays BGP sooner",
            f"sysctl -w fs.pipe-max-size={_PIPE_BYTES}",
        )
    return CheckResult("ok", "pipe", f"may hold {size} bytes")


def _clock() -> CheckResult:
    installed = Path(collector.__file__).stat().st_mtime
    if time.time() < installed:
        return CheckResult(
            "error",
            "clock",
            "is before this program was installed: times in the archive would be wrong",
            "set the clock",
        )
    try:
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        synchronised = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        synchronised = ""
    if synchronised == "no":
        return CheckResult("warning", "clock", "is not synchronised", "run chrony or systemd-timesyncd")
    return CheckResult(
        "ok", "clock", "is synchronised" if synchronised == "yes" else "it is not known whether it is synchronised"
    )
