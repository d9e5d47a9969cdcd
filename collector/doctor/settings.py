"""The settings, and what they need: directories, ports, a connection to a feed."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from collector.doctor.result import CheckResult
from collector.errors import BgpledgerError
from collector.instances import Instance
from collector.query.running import RunningCollector
from collector.query.status import clock_set_back
from collector.settings.model import Settings
from collector.settings.values import split_endpoint
from collector.sources.bmp.source import BMP
from collector.sources.bmp.state import read_state
from collector.sources.exabgp.configuration import render
from collector.sources.exabgp.local_ends import listening_places
from collector.sources.exabgp.supervisor import check_free
from schemas.scalars import spoken

_LITTLE, _TOO_LITTLE = 5 * 2**30, 100 * 2**20
_PATIENCE = 3.0


def examine_settings(
    settings: Settings, config: Path | None, running: RunningCollector | None
) -> Iterator[CheckResult]:
    """Check what the settings need.

    Args:
        settings: the collector's settings.
        config: the file that they come from, for messages.
        running: the collector that runs on the data directory, if any.
    """
    yield _configuration(settings, config)
    yield from _data_dir(settings.data_dir, settings.spool.keep_free_mib * 2**20)
    yield from stored_time(settings.data_dir)
    yield from _listening(settings, running)
    yield from _routers(settings, running)
    yield from feed(settings)


def stored_time(data_dir: Path) -> Iterator[CheckResult]:
    """Whether the clock was ahead once, so that new lines get a time in the future."""
    with suppress(BgpledgerError):  # the check of the data directory reports what cannot be read
        if until := clock_set_back(data_dir):
            ahead = timedelta(seconds=round((until - datetime.now(UTC)).total_seconds()))
            yield CheckResult(
                "warning",
                "stored time",
                f"stands still at {spoken(until)} UTC, {ahead} from now: the clock was set back",
                "nothing to do if that is soon; else give the collector another name (collector) and data directory,"
                " where time starts again",
            )


def _configuration(settings: Settings, config: Path | None) -> CheckResult:
    where = str(config) if config else "no file, only variables and options"
    try:
        render(settings, [])
    except BgpledgerError as error:
        return CheckResult("error", "configuration", error.cause, error.cure)
    if not settings.peers:
        return CheckResult("ok", "configuration", f"{where}: valid; no peers yet")
    return CheckResult("ok", "configuration", f"{where}: valid; {len(settings.peers)} peers or ranges")


def _data_dir(path: Path, keep_free: int) -> Iterator[CheckResult]:
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    cure = "make it writable for this user, or choose another with --data-dir"
    if not there.is_dir():
        yield CheckResult("error", "data directory", f"{there} is not a directory", cure)
        return
    try:
        with tempfile.TemporaryFile(dir=there):  # permissions are not everything: read-only mounts, quotas, root
            pass
    except OSError as error:
        yield CheckResult("error", "data directory", f"{there} is not writable: {error.strerror}", cure)
        return
    yield CheckResult("ok", "data directory", f"{path}{'' if there == path else ' can be created'}")
    free = shutil.disk_usage(there).free
    says = f"{free / 2**30:.1f} GiB free"
    if free < _LITTLE:
        if free < keep_free:
            says += f", less than spool.keep_free_mib leaves to others ({keep_free >> 20} MiB): lines would be dropped"
        state: Literal["error", "warning"] = "error" if free < max(_TOO_LITTLE, keep_free) else "warning"
        yield CheckResult(state, "disk", says, "make room, or choose a larger disk with --data-dir")
    else:
        yield CheckResult("ok", "disk", says)


def _listening(settings: Settings, running: RunningCollector | None) -> Iterator[CheckResult]:
    try:
        places = sorted(listening_places(settings)) or [split_endpoint(settings.bgp.listen)]
    except BgpledgerError:
        return  # the check of the configuration reports it
    for address, port in places:
        try:
            check_free(address, port)
        except BgpledgerError as error:
            if running and "in use" in error.cause:
                yield CheckResult(
                    "ok", "listen", f"{address} port {port}: the collector that runs (process {running.pid})"
                )
            else:
                yield CheckResult("error", "listen", error.cause, error.cure)
        else:
            yield CheckResult("ok", "listen", f"{address} port {port} is free")


def _routers(settings: Settings, running: RunningCollector | None) -> Iterator[CheckResult]:
    """Check the reception of BMP: which routers are connected, and which were refused."""
    if settings.bmp is None:
        return
    state = read_state(Instance(settings.data_dir, source=BMP.name)) if running else None
    if state is None:
        for address, port in settings.bmp.listen_places:
            try:
                check_free(address, port)
            except BgpledgerError as error:
                yield CheckResult(
                    "error", "bmp", error.cause, "see which process has it (ss -ltnp), or change bmp.listen"
                )
            else:
                yield CheckResult("ok", "bmp", f"{address} port {port} is free")
        return
    for stranger in state.refused:
        times = f"{stranger.times} time{'s' * (stranger.times > 1)}, last at {spoken(stranger.last)} UTC"
        yield CheckResult("warning", "bmp", f"{stranger.address} was refused {times}: {stranger.cause}", stranger.cure)
    names = ", ".join(f"{router.name or 'without a name'} ({router.address})" for router in state.connected)
    yield CheckResult(
        "ok", "bmp", f"connected: {names}" if names else f"no router is connected to {settings.bmp.listen}"
    )


def feed(settings: Settings) -> Iterator[CheckResult]:
    """Check whether a server listens at the address of RIS Live."""
    if not settings.ris_live.is_on:
        return
    url = urlsplit(settings.ris_live.url)
    port = url.port or (443 if url.scheme == "wss" else 80)
    try:
        socket.create_connection((url.hostname or "", port), _PATIENCE).close()
    except OSError as error:
        why = f"{url.hostname} port {port} cannot be reached: {error.strerror or error}"
        yield CheckResult("error", "RIS Live", why, "correct ris_live.url, or allow this machine to connect to it")
    else:
        yield CheckResult("ok", "RIS Live", f"{url.hostname} port {port} can be reached")
