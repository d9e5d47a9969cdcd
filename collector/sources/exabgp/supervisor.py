"""Runs ExaBGP: starts it, restarts it with growing pauses, passes on its log, reloads and stops it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from collector.children import bound_to_us, end_leftovers
from collector.errors import BgpledgerError, CollectorError
from collector.files import replace
from collector.instances import Instance
from collector.retry import keep_up
from collector.settings.model import Settings
from collector.sources.exabgp import reloads
from collector.sources.exabgp.configuration import render
from collector.sources.exabgp.files import configuration_file, reloads_file, strangers_file
from collector.sources.exabgp.local_ends import listening_places
from collector.sources.exabgp.program import environment, exabgp_command
from collector.sources.exabgp.strangers import Strangers

STOP_SECONDS = 10.0
"""ExaBGP informs its peers, then gives its receiver two seconds to drain the pipe."""
LEAVING_SECONDS = 3.0
_LONGEST_LINE = 2**20


class ExabgpSupervisor:
    """ExaBGP as our child.

    Args:
        settings: the collector's settings.
        helper: the receiver's command line, which ExaBGP starts.
        instance: its instance.
        relay: the relay's command line, which it starts if announcing is configured.
    """

    def __init__(
        self, settings: Settings, helper: Sequence[str], instance: int = 0, *, relay: Sequence[str] = ()
    ) -> None:
        here = Instance(settings.data_dir, instance)
        self._settings = settings
        self._helper, self._relay = helper, relay
        self._file = configuration_file(here)
        self._log = logging.getLogger(here.named("exabgp"))
        self._strangers_file = strangers_file(here)
        self._reloads_file = reloads_file(here)
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        # Until it has read its configuration, SIGUSR1 would end it.
        self._ready = False
        self._reload_when_ready = False
        self._replacing = False

    async def run(self) -> None:
        """Keep ExaBGP up until `stop`, or until this is cancelled.

        Raises:
            CollectorError: at the first start, an address to listen on is taken or not ours.
            ConfigurationError: ExaBGP's configuration cannot be generated from the settings.
        """
        self._write(self._settings)
        if ended := await end_leftovers(["server", str(self._file)], patience=STOP_SECONDS):
            self._log.warning("ended ExaBGP of a collector that was killed: process %s", ", ".join(map(str, ended)))
        await self._wait_for_places()
        try:
            await keep_up(self._run_once, self._log, self._stopping)
        finally:
            await self.stop()

    def reload(self, settings: Settings) -> None:
        """Continue with changed settings; only the sessions of peers that changed are affected.

        Settings that cannot be used are logged, and ExaBGP continues unchanged.
        """
        try:
            before, after = listening_places(self._settings), listening_places(settings)
            changed = self._write(settings)
        except BgpledgerError as error:
            self._log.error("ExaBGP keeps its present configuration: %s (cure: %s)", error.cause, error.cure)
            return
        self._settings = settings
        if any(ttl and place in after and after[place] is None for place, ttl in before.items()):
            # It cannot remove the minimum TTL from a socket that it keeps listening on.
            self._log.warning(
                "ttl_security was removed for an address that other peers use: ExaBGP and all sessions are restarted"
            )
            self._replacing = True
            self._signal(signal.SIGTERM)
        elif changed and self._ready:
            self._reload_exabgp()
        elif changed:
            self._reload_when_ready = True

    async def stop(self) -> None:
        """End ExaBGP properly: it informs its peers, and its receiver reads all it has written."""
        self._stopping.set()
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._log.warning("ExaBGP did not end within %g s and is killed", STOP_SECONDS)
            self._signal(signal.SIGKILL)
            await self._process.wait()

    # --- keeping it up ----------------------------------------------------------------------------------------------

    async def _run_once(self) -> str | None:
        """Run it to its end, and return how it ended; None: we are replacing it."""
        ended = await self._start_and_follow()
        replacing, self._replacing = self._replacing, False
        return None if replacing else ended

    async def _start_and_follow(self) -> str:
        try:
            self._check_places()
        except BgpledgerError as error:
            return f"ExaBGP cannot start: {error.cause} (cure: {error.cure})"
        command = bound_to_us(exabgp_command(self._settings.exabgp.python, "server", str(self._file)))
        self._ready = self._reload_when_ready = False
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=environment(os.environ),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                limit=_LONGEST_LINE,
                start_new_session=True,  # Ctrl-C at our terminal is for us: we stop it properly
            )
        except OSError as error:
            return f"ExaBGP cannot be started: {error.strerror} (cure: bgpledger doctor)"
        strangers = Strangers(self._strangers_file, self._log)
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        async for line in _lines(self._process.stdout):
            if "loaded new configuration successfully" in line:
                self._is_ready()
            if not strangers.see(line):
                _log(line, self._log)
        self._ready = False
        return f"ExaBGP ended, {_how(await self._process.wait())}"

    def _is_ready(self) -> None:
        self._ready = True
        if self._reload_when_ready:
            self._reload_when_ready = False
            self._reload_exabgp()

    def _reload_exabgp(self) -> None:
        try:
            reloads.tell(self._reloads_file)
        except OSError as error:
            self._log.warning(
                "%s cannot be written: %s; if lines are lost now, their number is unknown",
                self._reloads_file,
                error.strerror,
            )
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _write(self, settings: Settings) -> bool:
        """Write exabgp.conf atomically, and return whether it has changed."""
        text = render(settings, self._helper, self._relay)
        try:
            if self._file.exists() and self._file.read_text() == text:
                return False
            replace(self._file, text)
        except OSError as error:
            raise CollectorError(
                f"{self._file} cannot be written: {error.strerror}",
                "make the data directory writable for this user, or choose another with --data-dir",
            ) from error
        return True

    async def _wait_for_places(self) -> None:
        """Check that we can listen; an ExaBGP whose collector was killed takes a moment to end and free its port."""
        deadline = asyncio.get_running_loop().time() + LEAVING_SECONDS
        while True:
            try:
                return self._check_places()
            except CollectorError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)

    def _check_places(self) -> None:
        for address, port in sorted(listening_places(self._settings)):
            check_free(address, port)


# --- its log --------------------------------------------------------------------------------------------------------

# Its short form has no level, and with a level it has its own time.
_TROUBLE = (
    "error",
    "problem",
    "could not",
    "can not",
    "refus",
    "invalid",
    "too many",
    "traceback",
    "not a valid",
    "is not configured for",
)
_CHATTER = ("closing connection", "connection to ", "lost tcp session")
"""About every session's end and every attempt, without a reason; the archiver logs them with one."""
_NOISE = (
    "------",
    "therefore no routes of this kind",
    "environment file missing",
    "generate it using",
    "thank you for using",
    "auto-enabling adj-rib-out",
)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue  # longer than any sensible limit: what was read of it is lost
        if not line:
            return
        yield " ".join(line.decode("utf-8", "replace").split())


def _log(line: str, log: logging.Logger) -> None:
    lower = line.lower()
    if not line or any(noise in lower for noise in _NOISE):
        return
    level = logging.DEBUG if any(word in lower for word in _CHATTER) else logging.INFO
    log.log(logging.WARNING if any(word in lower for word in _TROUBLE) else level, "%s", line)


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"with status {status}"


# --- where it listens -----------------------------------------------------------------------------------------------


def check_free(address: str, port: int) -> None:
    """Check that we could listen there, so that a taken port gives our message and not endless restarts of ExaBGP.

    Raises:
        CollectorError: we could not.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        with socket.socket(family) as probe:
            # As ExaBGP does: connections of the previous one may linger on its port, and do not prevent listening.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        raise CollectorError(f"cannot listen on {place}: {error.strerror}", _cure(error)) from None


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or listen on another with --listen ADDR:PORT"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "it is not an address of this machine: give one that is (--listen, or the peer's local_address)"
    return "see who has it (ss -ltnp), or listen on another port with --listen ADDR:PORT"
