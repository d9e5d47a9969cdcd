"""Runs ExaBGP: starts it, keeps it up with growing pauses, passes its log on, reloads and stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from collector.errors import CollectorError
from collector.settings import Settings
from collector.wire.exabgp import environment, listening_places, render

log = logging.getLogger("exabgp")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 10.0
"""ExaBGP tells its peers, then gives its receiver two seconds to drain the pipe."""


class ExabgpSupervisor:
    """ExaBGP as our child.

    Args:
        settings: what it is told.
        helper: the receiver's command line, which ExaBGP starts.
    """

    def __init__(self, settings: Settings, helper: Sequence[str]) -> None:
        self._settings = settings
        self._helper = helper
        self._file = settings.data_dir / "exabgp.conf"
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep ExaBGP up until `stop`.

        Raises:
            CollectorError: a port that we are to listen on is taken, at the first start.
            ConfigurationError: ExaBGP's configuration cannot be written from the settings.
        """
        self._write()
        for place in sorted(listening_places(self._settings)):
            _check_free(*place)
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
                pause = FIRST_PAUSE
            log.error("ExaBGP ended with status %d; starting it again in %g s", status, pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE)

    def reload(self, settings: Settings) -> None:
        """Go on with other settings; only the sessions of peers that changed are touched."""
        self._settings = settings
        self._write()
        self._signal(signal.SIGUSR1)

    async def stop(self) -> None:
        """End ExaBGP in good order: its peers are told, its receiver drains what it has said."""
        self._stopping.set()
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            log.warning("ExaBGP did not end within %g s, it is killed", STOP_SECONDS)
            self._signal(signal.SIGKILL)
            await self._process.wait()

    async def _run_once(self) -> int:
        command = [str(Path(sys.executable).with_name("exabgp")), "server", str(self._file)]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "TERM", *command]  # it must not outlive us
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment(self._settings)},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,  # Ctrl-C at our terminal is for us: we stop it in order
        )
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        async for line in self._process.stdout:
            _log(line)
        return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _write(self) -> None:
        # It may hold MD5 passwords.
        text = render(self._settings, self._helper)
        descriptor = os.open(self._file.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        self._file.with_suffix(".new").replace(self._file)


_TROUBLE = ("error", "problem", "could not", "can not", "refus", "invalid", "too many")
_NOISE = ("environment file missing", "generate it using", "Thank you for using")


def _log(line: bytes) -> None:
    text = " ".join(line.decode("utf-8", "replace").split())
    if text and not any(noise in text for noise in _NOISE):
        trouble = any(word in text.lower() for word in _TROUBLE)
        log.log(logging.WARNING if trouble else logging.INFO, "%s", text)


def _check_free(address: str, port: int) -> None:
    """See that we could listen there, so that a taken port is our message and not a loop of ExaBGP's.

    Raises:
        CollectorError: we could not.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            cure = "see who has it (ss -ltnp), or listen on another port with --listen ADDR:PORT"
            if isinstance(error, PermissionError):
                cure = "ports below 1024 need root or CAP_NET_BIND_SERVICE; or listen on another with --listen"
            raise CollectorError(f"cannot listen on {address}:{port}: {error.strerror}", cure) from None
