"""`bgpledger run`: starts the store, the archivers, the acting process, the HTTP server, the receivers, and ExaBGP.

On shutdown the acting process is stopped first (its checks and commands withdraw what they announced), then ExaBGP (its
receiver drains the pipe into the spool), then the other receivers and the HTTP server, then the archivers (they store
what the spools hold), and the store last. If any of them is killed, the spools keep everything for the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from collector.children import without_secrets
from collector.commands import KeptCommand, end_those_left, kept, program
from collector.errors import ConfigurationError
from collector.query.running import KnownPeer, RunningCollector, only_collector
from collector.query.stopped_archive import taken_over
from collector.settings.bgp import PeerSettings
from collector.settings.model import Settings
from collector.settings.values import EVERY_FAMILY
from collector.sources.bmp.supervisor import bmp_environment, bmp_receiver
from collector.sources.exabgp.supervisors import Supervisors
from collector.sources.known import find_instances
from collector.sources.ris_live.supervisor import ris_live_environment, ris_live_receiver
from collector.store import credentials
from collector.store.embedded_keeper import keep_embedded

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
"""How long the archivers may take to store what is left on shutdown; the spool keeps the rest."""
ACTING_SECONDS = 8.0
"""How long the acting process may take; attached commands have five seconds of it to withdraw their announcements, and
ExaBGP two to send that."""
ANSWER_SECONDS = 5.0
"""How long the HTTP server may take to finish its answers."""


async def run(
    settings: Settings, config: Path | None, reread: Callable[[], Settings], *, peers: Sequence[str] = ()
) -> None:
    """Run the collector until SIGINT or SIGTERM; SIGHUP reads the configuration again.

    Args:
        settings: what to run.
        config: the file that they came from, for child processes.
        reread: reads the settings again.
        peers: `ADDR,AS` of peers that are not in the file.

    Raises:
        CollectorError: another collector runs on the data directory, or a port is taken.
        StoreError: the embedded store does not start.
    """
    # A core dump, of ours or of a child, would contain passwords.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with only_collector(settings.data_dir):
        stop, reload = _signals()
        async with (
            _store(settings) as uri,
            _commands(settings, config, uri) as commands,
            _receivers(settings) as receivers,
        ):
            exabgp = Supervisors(
                settings, helper=partial(receiver_command, settings), relay=partial(relay_command, settings)
            )
            announce = partial(_announce, config=config, uri=uri, started=datetime.now(UTC))
            announce(settings)
            acting = [_acting(settings, config, uri, peers)] if settings.announce else []
            reloading = partial(_reload, exabgp, receivers, [*commands, *acting], reread, announce)
            running = asyncio.create_task(exabgp.run(), name="exabgp")
            try:
                async with kept(*acting):
                    await _until_stopped(running, stop, reload, reloading)
            finally:
                await exabgp.stop()
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Signals only set events, which are handled in the loop."""
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    return stop, reload


async def _until_stopped(
    running: asyncio.Task[None], stop: asyncio.Event, reload: asyncio.Event, act: Callable[[], object]
) -> None:
    """Wait for a stop, or for ExaBGP's supervisor to give up, and reload on request."""
    while not stop.is_set():
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(reload.wait())]
        done, _ = await asyncio.wait([running, *waits], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if running in done:
            await running  # raises the error that made it give up
            return
        if reload.is_set():
            reload.clear()
            act()


def _reload(
    exabgp: Supervisors,
    receivers: Sequence[_KeptReceiver],
    commands: Sequence[KeptCommand],
    reread: Callable[[], Settings],
    announce: Callable[[Settings], None],
) -> None:
    try:
        settings = reread()
    except ConfigurationError as error:
        log.error("not reloaded: %s (%s)", error.cause, error.cure)
        return
    log.info("configuration read again")
    if (settings.announce is None) != (exabgp.announces is None):
        log.warning("adding or removing [announce] takes effect when the collector is restarted")
        settings = settings.model_copy(update={"announce": exabgp.announces})
    exabgp.reload(settings)
    for receiver in receivers:
        receiver.reload(settings)
    for command in commands:
        if settings.mongodb.uri is not None:  # its password may have changed
            command.environment["BGPLEDGER_MONGODB_URI"] = settings.mongodb.uri.get_secret_value()
        command.restart()
    announce(settings)


class _KeptReceiver(NamedTuple):
    """The receiver of a source other than ExaBGP."""

    section: str
    """The section of its settings."""
    command: KeptCommand | None
    """None if it is not configured."""
    environment: Callable[[Settings], dict[str, str]]
    """Its environment."""
    is_wanted: Callable[[Settings], bool]

    def reload(self, settings: Settings) -> None:
        """Continue with changed settings."""
        if self.is_wanted(settings) != (self.command is not None):
            log.warning("adding or removing [%s] takes effect when the collector is restarted", self.section)
        elif self.command and (environment := self.environment(settings)) != self.command.environment:
            self.command.environment = environment
            self.command.restart()  # its connections end with it: a gap


@asynccontextmanager
async def _receivers(settings: Settings) -> AsyncIterator[Sequence[_KeptReceiver]]:
    """The receivers of other sources, kept running during the block."""
    async with bmp_receiver(settings) as bmp, ris_live_receiver(settings) as ris_live:
        yield (
            _KeptReceiver("bmp", bmp, bmp_environment, lambda now: now.bmp is not None),
            _KeptReceiver("ris_live", ris_live, ris_live_environment, lambda now: now.ris_live.is_on),
        )


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
        http=settings.http.url if settings.http.is_on else None,
    ).announce(settings.data_dir)


def _known(peer: PeerSettings) -> KnownPeer:
    families = () if EVERY_FAMILY in peer.families else peer.families
    password = bool(peer.password_file or peer.password_env)
    return KnownPeer(peer.address, peer.asn, peer.description, peer.passive, password, families)


def receiver_command(settings: Settings, instance: int = 0) -> list[str]:
    """The receiver's command line. Settings without an option are passed in its environment."""
    values = {f"SPOOL_{key.upper()}": value for key, value in settings.spool.model_dump(exclude_none=True).items()}
    values["LOG_LEVEL"] = settings.log.level
    environment = [f"BGPLEDGER_{key}={value}" for key, value in values.items()]
    more = ["--instance", str(instance)] if instance else []
    return ["/usr/bin/env", *environment, program(), "receive", "--data-dir", str(settings.data_dir), *more]


def relay_command(settings: Settings, instance: int = 0) -> list[str]:
    """The command line of a relay, see `collector.sources.exabgp.relay`."""
    more = ["--instance", str(instance)] if instance else []
    return [program(), "relay", "--data-dir", str(settings.data_dir), *more]


# --- the store ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[str]:
    """The URI of the store: the configured one, or that of an embedded server kept running during the block."""
    if settings.mongodb.uri is not None:
        yield settings.mongodb.uri.get_secret_value()
        return
    mongodb = settings.mongodb
    async with (
        taken_over(settings.data_dir),
        keep_embedded(settings.data_dir, mongodb.embedded, database=mongodb.database) as uri,
    ):
        yield uri


# --- our own commands -----------------------------------------------------------------------------------------------


def _given_settings(settings: Settings, uri: str) -> dict[str, str]:
    """The environment with the settings from our command line, and the URI, which may contain a password."""
    given = {"BGPLEDGER_MONGODB_URI": uri, "BGPLEDGER_BGP_LISTEN": settings.bgp.listen}
    if settings.bgp.local_as is not None:
        given["BGPLEDGER_BGP_LOCAL_AS"] = str(settings.bgp.local_as)
    return given


def _archivers(settings: Settings, config: Path | None, uri: str) -> list[KeptCommand]:
    """An archiver for each spool: they use several cores, and one that fails does not delay the others."""
    environment = {**os.environ, **_given_settings(settings, uri)}
    environment.pop("BGPLEDGER_MONGODB_URI_FILE", None)
    instances = find_instances(settings.data_dir, settings)
    return [
        KeptCommand(
            f"the archiver of {instance.spool.name}" if len(instances) > 1 else "the archiver",
            [*_every_archiver(settings), "--spool", instance.spool.name],
            _configured(config),
            environment,
            patience=DRAIN_SECONDS,
            late="the spool keeps the rest",
        )
        for instance in instances
    ]


def _every_archiver(settings: Settings) -> list[str]:
    """The arguments of every archiver on the data directory, including those of an older version."""
    return ["archive", "--data-dir", str(settings.data_dir)]


def _acting(settings: Settings, config: Path | None, uri: str, peers: Sequence[str]) -> KeptCommand:
    environment = {**os.environ, **_given_settings(settings, uri)}
    environment.pop("BGPLEDGER_MONGODB_URI_FILE", None)
    return KeptCommand(
        "the acting process",
        ["act", "--data-dir", str(settings.data_dir)],
        [*_configured(config), *(word for peer in peers for word in ("--peer", peer))],
        environment,
        patience=ACTING_SECONDS,
        late="its journal has all that it took",
        restarting=signal.SIGHUP,  # so that its checks withdraw nothing
    )


def _http(settings: Settings, config: Path | None, uri: str) -> KeptCommand:
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith("BGPLEDGER_")},
        **without_secrets(os.environ),
        **_given_settings(settings, uri),
        "BGPLEDGER_HTTP_LISTEN": settings.http.listen,
    }
    environment.pop("BGPLEDGER_MONGODB_URI_FILE", None)
    return KeptCommand(
        "the HTTP server",
        ["serve", "--commands", "--data-dir", str(settings.data_dir)],
        _configured(config),
        environment,
        patience=ANSWER_SECONDS,
        late="its answers are broken off",
    )


def _configured(config: Path | None) -> list[str]:
    return ["--config", str(config)] if config else []


@asynccontextmanager
async def _commands(settings: Settings, config: Path | None, uri: str) -> AsyncIterator[list[KeptCommand]]:
    """The archivers, and the HTTP server, which ends before them."""
    archivers, servers = _archivers(settings, config, uri), []
    if settings.http.is_on:
        log.info("pages and the HTTP API: %s", settings.http.url)
        servers.append(_http(settings, config, uri))
    await end_those_left("the archiver", _every_archiver(settings), DRAIN_SECONDS)
    async with kept(*archivers), kept(*servers):
        yield [*archivers, *servers]
