"""Probes a service by a command, as ExaBGP's `healthcheck` does."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Sequence

from collector.acting.health.probe_result import ProbeResult, shown
from collector.children import kill_group, start_group

_KEPT_BYTES = 4096


async def probe(command: str | Sequence[str]) -> ProbeResult:
    """Whether a command ends with status 0. When the task is cancelled, all processes of its group are killed.

    Args:
        command: arguments, or a line for `/bin/sh`.
    """
    try:
        process = await start_group(command, stdout=PIPE, stderr=STDOUT)
    except OSError as error:
        return ProbeResult(is_healthy=False, detail=f"cannot be started: {os.strerror(error.errno or 0).lower()}")
    try:
        output = await _beginning(process)
        status = await process.wait()
    except asyncio.CancelledError:
        await kill_group(process)
        raise
    seen = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    line = shown(output.decode("utf-8", "replace"))
    return ProbeResult(is_healthy=status == 0, detail=f"{seen}: {line}" if line else seen)


async def _beginning(process: Process) -> bytes:
    """The first bytes that it writes; the rest is read, so that it can continue, and dropped."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    kept = b""
    while chunk := await process.stdout.read(65_536):
        kept += chunk[: _KEPT_BYTES - len(kept)]
    return kept
