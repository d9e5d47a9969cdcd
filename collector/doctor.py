"""What is missing or misconfigured on this machine, and the cure for each: one finding a check."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from pymongo import ReadPreference
from pymongo.errors import PyMongoError

import collector
from collector.errors import BgpledgerError, StoreError
from collector.instances import Instance
from collector.query.peers import peers_here
from collector.query.running import RunningCollector, find_running
from collector.query.status import clock_set_back
from collector.settings import Settings
from collector.settings.values import split_endpoint
from collector.sources.bmp.source import BMP
from collector.sources.bmp.state import read_state
from collector.sources.exabgp.configuration import listening_places, program, render
from collector.sources.exabgp.md5_failures import dropped_segments
from collector.sources.exabgp.supervisor import check_free
from collector.store.collections import SCHEMA_VERSION
from collector.store.driver import Client, close, connect
from collector.store.embedded import find_program
from collector.store.mongo import Store
from collector.store.rights import missing
from collector.store.uri import redact
from schemas.scalars import spoken
from schemas.status import PeerStatus

_PIPE_BYTES = 2**20
_LITTLE, _TOO_LITTLE = 5 * 2**30, 100 * 2**20
_PATIENCE = 3.0
_OLDEST_MONGODB = 6
_COMMAND_SECONDS = 30


class CheckResult(NamedTuple):
    """What a check found; the cure stands with all that is not well."""

    state: Literal["ok", "warning", "error"]
    check: str
    says: str
    cure: str = ""


def examine(settings: Settings, config: Path | None = None) -> Iterator[CheckResult]:
    """Look at everything that a collector with these settings needs; what costs time comes last.

    Args:
        settings: what it is told.
        config: the file that says so, to be named.
    """
    running = find_running(settings.data_dir)
    yield from examine_machine(settings.exabgp.python)
    yield _configuration(settings, config)
    yield from _data_dir(settings.data_dir, settings.spool.keep_free_mib * 2**20)
    yield from _stored_time(settings.data_dir)
    yield from _listening(settings, running)
    yield from _routers(settings, running)
    yield from _feed(settings)
    yield from _store(settings, running)
    if running:
        yield from _peers(settings, running)


def examine_machine(exabgp_python: str | None = None) -> Iterator[CheckResult]:
    """Look at what is installed here; ExaBGP as it is run by this Python."""
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
        command = program(python, "version")
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, BgpledgerError) as error:
        return CheckResult("error", "exabgp", f"does not start: {error}", cure)
    found = re.search(r"ExaBGP\s*:\s*(\S+)", done.stdout)
    if done.returncode or not found:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing said").splitlines()[-1]
        return CheckResult("error", "exabgp", f"does not start: {last}", cure)
    version = found[1]
    if not version.startswith("5."):
        return CheckResult("error", "exabgp", f"{version} is not of the series that this program knows, 5.0", cure)
    runs = re.search(r"Python\s*:\s*(.+?)\s*$", done.stdout, re.MULTILINE)
    return CheckResult("ok", "exabgp", f"{version} on {runs[1]}" if python and runs else version)


def _setpriv() -> CheckResult:
    if shutil.which("setpriv"):
        return CheckResult("ok", "setpriv", "there: what we start ends with us")
    return CheckResult(
        "warning",
        "setpriv",
        "not there: ExaBGP and the store would outlive a collector that is killed",
        "install util-linux",
    )


def _pipe() -> CheckResult:
    file = Path("/proc/sys/fs/pipe-max-size")
    try:
        size = int(file.read_text())
    except (OSError, ValueError):
        return CheckResult(
            "warning", "pipe", f"{file} cannot be read", "none is needed; the slack for a slow disk is less"
        )
    if size < _PIPE_BYTES:
        return CheckResult(
            "warning",
            "pipe",
            f"holds {size} bytes at most: a slow disk holds BGP up sooner",
            f"sysctl -w fs.pipe-max-size={_PIPE_BYTES}",
        )
    return CheckResult("ok", "pipe", f"may hold {size} bytes")


def _stored_time(data_dir: Path) -> Iterator[CheckResult]:
    """Whether the clock was ahead once, so that new lines have a time that is still to come."""
    with suppress(BgpledgerError):  # what cannot be read is told of by the check of the data directory
        if until := clock_set_back(data_dir):
            ahead = timedelta(seconds=round((until - datetime.now(UTC)).total_seconds()))
            yield CheckResult(
                "warning",
                "stored time",
                f"stands still at {spoken(until)} UTC, {ahead} from now: the clock was set back",
                "none is needed when that is soon; else give the collector another name (collector) and data directory,"
                " where time begins anew",
            )


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
        "ok", "clock", "is synchronised" if synchronised == "yes" else "whether it is synchronised is not known"
    )


# --- the settings ---------------------------------------------------------------------------------------------------


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
        with tempfile.TemporaryFile(dir=there):  # permissions do not tell all: read-only mounts, quotas, root
            pass
    except OSError as error:
        yield CheckResult("error", "data directory", f"{there} is not writable: {error.strerror}", cure)
        return
    yield CheckResult("ok", "data directory", f"{path}{'' if there == path else ' can be made'}")
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
        return  # the configuration's finding has it
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
    """Look at where BMP comes in: who is connected, and who was refused."""
    if settings.bmp is None:
        return
    state = read_state(Instance(settings.data_dir, source=BMP.name)) if running else None
    if state is None:
        for address, port in settings.bmp.listen_places:
            try:
                check_free(address, port)
            except BgpledgerError as error:
                yield CheckResult("error", "bmp", error.cause, "see who has it (ss -ltnp), or change bmp.listen")
            else:
                yield CheckResult("ok", "bmp", f"{address} port {port} is free")
        return
    for stranger in state.refused:
        times = f"{stranger.times} times, last at {spoken(stranger.last)} UTC"
        yield CheckResult("warning", "bmp", f"{stranger.address} was refused {times}: {stranger.cause}", stranger.cure)
    names = ", ".join(f"{router.name or 'without a name'} ({router.address})" for router in state.connected)
    yield CheckResult("ok", "bmp", f"connected: {names}" if names else f"nobody is connected to {settings.bmp.listen}")


def _feed(settings: Settings) -> Iterator[CheckResult]:
    """Whether somebody listens where RIS Live is said to be."""
    if not settings.ris_live.is_on:
        return
    url = urlsplit(settings.ris_live.url)
    port = url.port or (443 if url.scheme == "wss" else 80)
    try:
        socket.create_connection((url.hostname or "", port), _PATIENCE).close()
    except OSError as error:
        why = f"{url.hostname} port {port} cannot be reached: {error.strerror or error}"
        yield CheckResult("error", "RIS Live", why, "mend ris_live.url, or let this machine out to it")
    else:
        yield CheckResult("ok", "RIS Live", f"{url.hostname} port {port} can be reached")


# --- the store ------------------------------------------------------------------------------------------------------


def _store(settings: Settings, running: RunningCollector | None) -> Iterator[CheckResult]:
    if settings.mongodb.uri is None:
        try:
            yield CheckResult("ok", "store", f"embedded, {find_program(settings.mongodb.embedded).name}")
        except StoreError as error:
            yield CheckResult("error", "store", error.cause, error.cure)
            return
        if running and running.mongodb_uri:
            yield from _server(settings, running.mongodb_uri)
        return
    yield from _server(settings, settings.mongodb.uri.get_secret_value())


def _server(settings: Settings, uri: str) -> Iterator[CheckResult]:
    shown = redact(uri)
    try:
        yield from asyncio.run(_ask(uri, settings))
    except BgpledgerError as error:
        yield CheckResult("error", "store", error.cause, error.cure)
    except PyMongoError as error:
        # The driver's text names hosts and not credentials, but may run on for lines.
        said = str(error).splitlines()[0].partition(" (configured timeouts")[0][:200]
        yield CheckResult(
            "error",
            "store",
            f"{shown} does not serve us: {type(error).__name__}: {said}",
            "start it, or mend the URI: address, user, password, authSource, tls; readWrite on the database is needed",
        )


async def _ask(uri: str, settings: Settings) -> list[CheckResult]:
    client = connect(uri, settings.mongodb.driver, timeout=_PATIENCE)
    try:
        database = settings.mongodb.database
        version = await _version(client, redact(uri))
        return [*version, *await _writable(client, database), *await _schema(client, database)]
    finally:
        await close(client)


async def _version(client: Client, shown: str) -> list[CheckResult]:
    information = await client.server_info()
    if own := information.get("secantusVersion"):
        return [CheckResult("ok", "store", f"{shown} answers: SecantusDB {own}")]
    version = str(information["version"])
    findings = [CheckResult("ok", "store", f"{shown} answers: MongoDB {version}")]
    if int(version.partition(".")[0]) < _OLDEST_MONGODB:
        findings = [
            CheckResult("error", "store", f"MongoDB {version} is too old", f"use MongoDB {_OLDEST_MONGODB} or newer")
        ]
    hello = await client.admin.command("hello")
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        findings.append(
            CheckResult(
                "warning",
                "replica set",
                "the server is none: what it acknowledged may be lost with its machine",
                "make it a replica set, of one member if need be (rs.initiate()), and name it in the URI",
            )
        )
    return findings


async def _schema(client: Client, database: str) -> list[CheckResult]:
    found = await client[database].meta.with_options(read_preference=ReadPreference.PRIMARY).find_one({"_id": "schema"})
    version = found["version"] if found else SCHEMA_VERSION
    if version == SCHEMA_VERSION:
        return []
    what = f"database {database} is of schema {version}, this program's is {SCHEMA_VERSION}"
    if version > SCHEMA_VERSION:
        return [CheckResult("error", "schema", what, "use the newer bgpledger that wrote it")]
    return [CheckResult("warning", "schema", f"{what}: --origin has no index", "bgpledger db migrate")]


async def _writable(client: Client, database: str) -> list[CheckResult]:
    found = [
        CheckResult("error" if one.needed else "warning", "store", one.says, one.cure)
        for one in await missing(client[database])
    ]
    if any(one.state == "error" for one in found):
        return found
    return [CheckResult("ok", "store", f"database {database} is writable"), *found]


# --- the peers ------------------------------------------------------------------------------------------------------


def _peers(settings: Settings, running: RunningCollector) -> Iterator[CheckResult]:
    """Look at why peers of the collector that runs are not up."""
    if running.mongodb_uri:
        uri = running.mongodb_uri
    elif settings.mongodb.uri:
        uri = settings.mongodb.uri.get_secret_value()
    else:
        return
    try:
        standing = asyncio.run(_ask_peers(uri, settings, running))
    except BgpledgerError:
        return  # the store's finding has it
    expected = {peer.address: peer for peer in running.peers}
    down = [peer for peer in standing if peer.state == "unconfigured" or (peer.configured and peer.state != "up")]
    for peer in down:
        yield CheckResult("warning", "peer", _standing(peer), _peers_cure(peer))
    if any(peer.open is None and expected[peer.address].password for peer in down if peer.address in expected):
        yield from _md5()
    up = sum(peer.state == "up" for peer in standing if peer.configured)
    if expected:
        yield CheckResult("ok", "peers", f"{up} of {len(expected)} are up")


async def _ask_peers(uri: str, settings: Settings, running: RunningCollector) -> list[PeerStatus]:
    async with Store.open(uri, database=running.database, driver=settings.mongodb.driver) as store:
        return [peer async for peer in peers_here(store, settings.data_dir)]


def _standing(peer: PeerStatus) -> str:
    state = {"never": "has never been up", "down": "is down", "unconfigured": "is not configured"}[peer.state]
    name = f"{peer.address} (AS {peer.asn})" if peer.asn else peer.address
    at = f", at {peer.reason_at:%Y-%m-%d %H:%M:%S} UTC" if peer.reason_at else ""
    since = f"; since then: {peer.attempt}, last at {peer.attempt_at:%Y-%m-%d %H:%M:%S} UTC" if peer.attempt else ""
    says = f"{name} {state}: {peer.reason or 'why is not known'}{at}{since}"
    if peer.open is None:
        return says
    opened = peer.open
    differs = f" ({'; '.join(opened.differs)})" if opened.differs else ""
    return (
        f"{says}; its last OPEN, {opened.ts:%Y-%m-%d %H:%M:%S} UTC: AS {opened.asn}, hold time {opened.hold_time} s,"
        f" router ID {opened.router_id}{differs}"
    )


def _peers_cure(peer: PeerStatus) -> str:
    if peer.state == "unconfigured":
        return "give it a [[peers]] of its own, or end its attempts at the router"
    if peer.open and peer.open.differs:
        return "make both ends agree: [[peers]] here, or the router's configuration"
    if peer.open is None:
        return "see that the router has us as its neighbour, and that nothing between us filters BGP's port"
    return "see the router's log, and ours"


def _md5() -> Iterator[CheckResult]:
    if dropped := dropped_segments(Path("/proc/net/netstat")):
        told = ", ".join(f"{count} {what}" for what, count in dropped.items())
        yield CheckResult(
            "warning",
            "md5",
            f"the kernel has dropped TCP segments since it started: {told}",
            "give both ends the same password; the kernel's log (dmesg) names the addresses",
        )
