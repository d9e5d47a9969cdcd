"""Our own commands as child processes, which are restarted when they end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from collector.children import bound_to_us, end_leftovers
from collector.retry import keep_up
from collector.tasks import end

log = logging.getLogger(__name__)


def program() -> str:
    """The path of this program."""
    return str(Path(sys.executable).with_name("bgpledger"))


async def end_those_left(name: str, arguments: Sequence[str], patience: float) -> None:
    """End commands that a killed collector has left behind.

    Args:
        name: their name in the log.
        arguments: the arguments of `bgpledger`, see `KeptCommand`.
        patience: seconds until they are killed.
    """
    if ended := await end_leftovers(arguments, patience=patience):
        log.warning("ended %s of a collector that was killed: process %s", name, ", ".join(map(str, ended)))


class KeptCommand:
    """Keeps one of our commands running.

    Args:
        name: its name in the log, such as `the archiver`.
        arguments: the arguments of `bgpledger`; no other process has these in a row.
        more: further arguments, which do not identify it.
        environment: its environment: settings without an option, and secrets, since everybody can see arguments.
        patience: the seconds that it may take to end.
        late: the log message if that was not enough.
        restarting: the signal that makes it end in order to be restarted.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        more: Sequence[str],
        environment: Mapping[str, str],
        *,
        patience: float,
        late: str,
        restarting: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.environment = dict(environment)
        """The environment for its next start."""
        self._name = name
        self._arguments = list(arguments)
        self._command = [program(), *arguments, *more]
        self._patience = patience
        self._late = late
        self._restarting = restarting
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start it, and restart it whenever it ends."""
        await end_those_left(self._name, self._arguments, self._patience)
        await keep_up(self._run_once, log, self._stopping)

    async def _run_once(self) -> str | None:
        self._process = await asyncio.create_subprocess_exec(
            *bound_to_us(self._command),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        status = await self._process.wait()
        return f"{self._name} ended with status {status}" if status else None  # requested by restart()

    def restart(self) -> None:
        """Let it finish its current work, then restart it."""
        self._signal(self._restarting)

    async def stop(self) -> None:
        """Let it finish its current work, within its time limit."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._process.wait()
            except TimeoutError:
                log.warning("%s is not done within %g s; %s", self._name, self._patience, self._late)
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


@asynccontextmanager
async def kept(*commands: KeptCommand) -> AsyncIterator[None]:
    """Keep commands running until the block ends; then stop all of them at once."""
    running = [asyncio.create_task(command.run()) for command in commands]
    try:
        yield
    finally:
        await asyncio.gather(*(command.stop() for command in commands))
        await end(*running)
