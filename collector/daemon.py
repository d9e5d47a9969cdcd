"""Joins the stages: starts the store, the archiver, and ExaBGP with its receiver; keeps them up; stops them in order.

On the way down ExaBGP goes first (its receiver drains the pipe into the spool), the archiver next (it stores what
the spool holds), the store last. Whatever is killed on the way, the spool has it for the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from collector.children import bound_to_us, end_leftovers
from collector.errors import BgpledgerError, ConfigurationError, StoreError
from collector.query.at_rest import taken_over
from collector.query.running import KnownPeer, RunningCollector, only_collector
from collector.retry import keep_up
from collector.settings import PeerSettings, Settings
from collector.settings.values import EVERY_FAMILY
from collector.sources.exabgp.supervisors import Supervisors
from collector.store import credentials, embedded
from collector.store.expiry import SWEEP_SECONDS, Sweeper

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
"""How long the archiver may take to store what is left when we stop; the spool keeps the rest."""


async def run(settings: Settings, config: Path | None, reread: Callable[[], Settings]) -> None:
    """Run the collector until SIGINT or SIGTERM; SIGHUP reads the configuration again.

    Args:
        settings: what to run.
        config: the file that they came from, for the archiver's process.
        reread: reads the settings anew.

    Raises:
        CollectorError: another collector runs on the data directory, or a port is taken.
        StoreError: the embedded store does not start.
    """
    # A core of ours, or of what we start, would hold passwords.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with only_collector(settings.data_dir):
        stop, reload = _signals()
        async with _store(settings) as uri, _archiver(settings, config, uri) as archiver:
            exabgp = Supervisors(settings, helper=partial(receiver_command, settings))
            announce = partial(_announce, config=config, uri=uri, started=datetime.now(UTC))
            announce(settings)
            running = asyncio.create_task(exabgp.run(), name="exabgp")
            try:
                await _until_stopped(running, stop, reload, partial(_reload, exabgp, archiver, reread, announce))
            finally:
                await exabgp.stop()
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Signals only set events; what they mean happens in the loop."""
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    return stop, reload


async def _until_stopped(
    running: asyncio.Task[None], stop: asyncio.Event, reload: asyncio.Event, act: Callable[[], object]
) -> None:
    """Wait for a stop, or for ExaBGP's supervisor to give up, and reload when asked."""
    while not stop.is_set():
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(reload.wait())]
        done, _ = await asyncio.wait([running, *waits], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if running in done:
            await running  # raises what made it give up
            return
        if reload.is_set():
            reload.clear()
            act()


def _reload(
    exabgp: Supervisors,
    archiver: _Archiver,
    reread: Callable[[], Settings],
    announce: Callable[[Settings], None],
) -> None:
    try:
        settings = reread()
    except ConfigurationError as error:
        log.error("not reloaded: %s (%s)", error.cause, error.cure)
        return
    log.info("configuration read again")
    exabgp.reload(settings)
    archiver.restart(settings)
    announce(settings)


def _announce(settings: Settings, *, config: Path | None, uri: str, started: datetime) -> None:
    RunningCollector(
        pid=os.getpid(),
        started=started,
        collector=settings.collector,
        peers=tuple(_known(peer) for peer in settings.peers if not peer.is_range),
        ranges=tuple(peer.address for peer in settings.peers if peer.is_range),
        config=config.absolute() if config else None,
        local_as=settings.bgp.local_as,
        listen=settings.bgp.listen,
        mongodb_uri=credentials.unsigned(uri) if settings.mongodb.uri is None else None,
        database=settings.mongodb.database,
    ).announce(settings.data_dir)


def _known(peer: PeerSettings) -> KnownPeer:
    families = () if EVERY_FAMILY in peer.families else peer.families
    password = bool(peer.password_file or peer.password_env)
    return KnownPeer(peer.address, peer.asn, peer.description, peer.passive, password, families)


def receiver_command(settings: Settings, instance: int = 0) -> list[str]:
    """The receiver's command line. It gets by its environment what has no option."""
    told = {f"SPOOL_{key.upper()}": value for key, value in settings.spool.model_dump(exclude_none=True).items()}
    told["LOG_LEVEL"] = settings.log.level
    environment = [f"BGPLEDGER_{key}={value}" for key, value in told.items()]
    more = ["--instance", str(instance)] if instance else []
    return ["/usr/bin/env", *environment, _program(), "receive", "--data-dir", str(settings.data_dir), *more]


def _program() -> str:
    """This very program, as a file that ExaBGP can start."""
    return str(Path(sys.executable).with_name("bgpledger"))


# --- the store ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[str]:
    """The URI of the store: the configured one, or that of an embedded server that is kept up meanwhile."""
    if settings.mongodb.uri is not None:
        yield settings.mongodb.uri.get_secret_value()
        return
    async with taken_over(settings.data_dir), _embedded(settings) as uri:
        yield uri


@asynccontextmanager
async def _embedded(settings: Settings) -> AsyncIterator[str]:
    keeper = _EmbeddedKeeper(settings.data_dir, settings.mongodb.embedded)
    uri = await keeper.start()
    watching = asyncio.create_task(keeper.watch(), name="embedded store")
    sweeping = asyncio.create_task(_sweep(Sweeper(uri, settings.mongodb.database)), name="expiry")
    try:
        yield uri
    finally:
        for task in (watching, sweeping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await keeper.stop()


async def _sweep(sweeper: Sweeper) -> None:
    """Remove what is too old, as a MongoDB does by itself."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            if removed := await sweeper.sweep():
                log.debug("%d documents were older than [retention] keeps them", removed)
        except StoreError as error:
            log.warning("%s", error.cause)


class _EmbeddedKeeper:
    """Starts the embedded store again when it ends; it comes back at the same address if that is free."""

    def __init__(self, data_dir: Path, program: str | None) -> None:
        self._data_dir = data_dir
        self._program = program
        self._store: embedded.EmbeddedStore | None = None

    async def start(self) -> str:
        self._store = await embedded.start(self._data_dir, self._program)
        log.info("embedded store at %s, its files in %s", self._store.address, self._data_dir / "store")
        return self._store.uri

    async def watch(self) -> None:
        await keep_up(self._run_once, log, asyncio.Event())

    async def _run_once(self) -> str:
        """Wait for the end of the store that runs, or of one that is started."""
        try:
            if self._store is None or self._store.process.poll() is not None:
                await self.start()
        except BgpledgerError as error:
            return error.cause
        while self._store is not None and self._store.process.poll() is None:
            await asyncio.sleep(0.2)
        return "the embedded store ended"

    async def stop(self) -> None:
        if self._store is not None:
            await self._store.stop()


# --- the archiver's process -----------------------------------------------------------------------------------------


class _Archiver:
    """Keeps `bgpledger archive` up: a process of its own, so that it can fall over or be replaced alone."""

    def __init__(self, settings: Settings, config: Path | None, uri: str) -> None:
        self._arguments = ["archive", "--data-dir", str(settings.data_dir)]
        self._command = [_program(), *self._arguments]
        if config:
            self._command += ["--config", str(config)]
        # What our command line says over the file reaches it by the environment, and so does the URI, which may hold a
        # password: arguments are for all to see.
        self._environment = {
            **os.environ,
            "BGPLEDGER_MONGODB_URI": uri,
            "BGPLEDGER_BGP_LISTEN": settings.bgp.listen,
        }
        self._environment.pop("BGPLEDGER_MONGODB_URI_FILE", None)
        if settings.bgp.local_as is not None:
            self._environment["BGPLEDGER_BGP_LOCAL_AS"] = str(settings.bgp.local_as)
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        if ended := await end_leftovers(self._arguments, patience=DRAIN_SECONDS):
            log.warning("ended the archiver of a collector that was killed: process %s", ", ".join(map(str, ended)))
        await keep_up(self._run_once, log, self._stopping)

    async def _run_once(self) -> str | None:
        self._process = await asyncio.create_subprocess_exec(
            *bound_to_us(self._command),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        status = await self._process.wait()
        return f"the archiver ended with status {status}" if status else None  # restart() asked for it

    def restart(self, settings: Settings) -> None:
        """Let it finish its batch and begin anew, with the configuration as it is now."""
        if settings.mongodb.uri is not None:  # its password may be another one
            self._environment["BGPLEDGER_MONGODB_URI"] = settings.mongodb.uri.get_secret_value()
        self._signal(signal.SIGTERM)

    async def stop(self) -> None:
        """Let it store what is left, within its time."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                log.warning("the archiver is not done within %g s; the spool keeps the rest", DRAIN_SECONDS)
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


@asynccontextmanager
async def _archiver(settings: Settings, config: Path | None, uri: str) -> AsyncIterator[_Archiver]:
    archiver = _Archiver(settings, config, uri)
    running = asyncio.create_task(archiver.run(), name="archiver")
    try:
        yield archiver
    finally:
        await archiver.stop()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
