"""Runs an attached command: reads what it prints, answers as ExaBGP does, and restarts it when it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process

from collector.acting.attached.lines import CommandError, read_command
from collector.acting.order_sink import OrderSink
from collector.children import end_group, kill_group, start_group
from collector.errors import BgpledgerError
from collector.retry import keep_up
from collector.settings.checks import CommandSettings
from schemas.intents import Order, Withdrawal

log = logging.getLogger(__name__)

LONGEST_LINE = 2**20
"""Bytes of the longest line, as in ExaBGP. A longer one ends the program: its rest might look like another command."""
LEAVING_SECONDS = 5.0
"""Seconds after SIGTERM within which it may still withdraw routes, and has to exit."""
_MOST_UNREAD = 2**16
"""The maximum number of bytes of unread answers: a program that never reads gets no more of them."""
_SHOWN = 200


class Program:
    """An attached command.

    Args:
        settings: the command, and what to do with its announcements when it ends.
        orders: takes its orders.
    """

    def __init__(self, settings: CommandSettings, orders: OrderSink) -> None:
        self._settings = settings
        self._orders = orders
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_answered = True

    async def run(self) -> None:
        """Run it, and start it again whenever it ends, until `stop`."""
        try:
            await keep_up(self._run_once, log, self._stopping)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End it properly: what it prints after SIGTERM is carried out."""
        self._stopping.set()
        if self._process is None:
            return
        end_group(self._process, signal.SIGTERM)
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            log.warning("%s did not end within %g s and is killed", self._settings.source, LEAVING_SECONDS)
            end_group(self._process, signal.SIGKILL)

    async def _run_once(self) -> str:
        source = self._settings.source
        self._is_answered = True
        try:
            self._process = await start_group(
                self._settings.run, stdin=PIPE, stdout=PIPE, stderr=None, limit=LONGEST_LINE
            )
        except OSError as error:
            return f"{source} cannot be started: {os.strerror(error.errno or 0).lower()}"
        try:
            ended = await self._follow(self._process)
        finally:
            await kill_group(self._process)
        status = self._process.returncode or 0
        if self._settings.on_exit == "withdraw":
            await self._submit(Withdrawal(who=source, why="the command has ended", source=source, of=source))
        how = f"killed by signal {-status}" if status < 0 else f"with status {status}"
        return ended or f"{source} ended, {how}"

    async def _follow(self, process: Process) -> str:
        """Carry out what it prints until it stops; returns why it was interrupted, if it was."""
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                return f"{self._settings.source} printed a line of more than {LONGEST_LINE} bytes"
            if not line.endswith(b"\n"):
                return ""  # a line without its end is half a command
            self._answer(process, await self._take(line.decode("utf-8", "replace").strip()))

    async def _take(self, line: str) -> str:
        """Carry out a line; returns the answer, or an empty text."""
        source = self._settings.source
        if line.startswith("debug "):
            log.info("%s: %s", source, line.removeprefix("debug ")[:_SHOWN])
            return ""
        if line in _ABOUT_ANSWERS:
            self._is_answered = line == "enable-ack"
            return _ABOUT_ANSWERS[line]
        answer = "done" if line.startswith("#") or await self._do(line) else "error"
        return answer if self._is_answered else ""

    async def _do(self, line: str) -> bool:
        source, why = self._settings.source, f"it printed: {line}"[:_SHOWN]
        try:
            command = read_command(line)
        except CommandError as error:
            log.warning("%s: not done: %s, in %r", source, error, line[:_SHOWN])
            return False
        if command.announces:
            order = Order(who=source, why=why, source=source, announcements=command.announcements, peers=command.peers)
            return await self._submit(order)
        nlris = {announcement.nlri for announcement in command.announcements}
        ids = self._orders.current_ids(source, nlris)
        # What is not announced need not be withdrawn; ExaBGP answers `done` to that, too.
        return not ids or await self._submit(
            Withdrawal(who=source, why=why, source=source, of=source, ids=ids, peers=command.peers)
        )

    async def _submit(self, order: Order | Withdrawal) -> bool:
        try:
            await self._orders.submit(order)
        except BgpledgerError as error:
            log.error("%s: %s (cure: %s)", self._settings.source, error.cause, error.cure)
            return False
        return True

    def _answer(self, process: Process, answer: str) -> None:
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        if answer and process.stdin.transport.get_write_buffer_size() < _MOST_UNREAD:
            process.stdin.write(answer.encode() + b"\n")


_ABOUT_ANSWERS = {"enable-ack": "done", "disable-ack": "done", "silence-ack": ""}
"""Commands about answers, and the answers to these."""
