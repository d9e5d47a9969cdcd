"""The acting process's ends of the relays: commands go out in order, a few at a time, and their answers come back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

_log = logging.getLogger(__name__)

_MOST_UNANSWERED: Final = 16
"""The maximum number of commands in flight: ExaBGP's answers must never fill its pipe (Exa-Networks/exabgp#1168)."""
_SUMMARY: Final = re.compile(r"([0-9a-fA-F.:]+) +[0-9]+ +\S+(?: days?, \S+)? +(\w+) .*")
"""A line of `show neighbor summary`: the peer's address, its AS, how long, its state."""

Answered = Callable[[bool, Sequence[str]], None]
"""Called with whether ExaBGP answered `done`, and what it printed before that."""


class _UnansweredCommand(NamedTuple):
    line: bytes
    answered: Answered


class RelayLink:
    """One relay, and behind it one ExaBGP.

    Args:
        instance: which ExaBGP.
        exabgp: what distinguishes it from the previous one.
        writer: the connection.
    """

    def __init__(self, instance: int, exabgp: str, writer: asyncio.StreamWriter) -> None:
        self.instance, self.exabgp = instance, exabgp
        self.sessions: dict[str, bool] = {}
        """Whether a peer's session is up, of those that came up or ended since this connection was made."""
        self._writer = writer
        self._waiting: deque[_UnansweredCommand] = deque()
        self._unanswered: deque[_UnansweredCommand] = deque()
        self._printed: list[str] = []

    def say(self, line: bytes, answered: Answered) -> None:
        """Give ExaBGP a command.

        Args:
            line: the command from `collector.acting.commands`.
            answered: called when ExaBGP has answered it.
        """
        self._waiting.append(_UnansweredCommand(line, answered))
        self._fill()

    @property
    def is_idle(self) -> bool:
        """Whether every command has been answered."""
        return not self._unanswered and not self._waiting

    def _fill(self) -> None:
        while self._waiting and len(self._unanswered) < _MOST_UNANSWERED:
            command = self._waiting.popleft()
            self._unanswered.append(command)
            self._writer.write(command.line)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Process answers until the relay disconnects."""
        while line := await reader.readline():
            self._take(line.rstrip(b"\n").decode("ascii", "replace"))

    def _take(self, line: str) -> None:
        if line not in ("done", "error"):
            self._printed.append(line)
            return
        printed, self._printed = self._printed, []
        if not self._unanswered:
            _log.warning("ExaBGP answered %r, but no command was waiting for an answer", line)
            return
        command = self._unanswered.popleft()
        if line == "error":
            _log.error("ExaBGP refused: %s", command.line[:300].decode("ascii").rstrip())
        command.answered(line == "done", printed)
        self._fill()


def peers_in(summary: Sequence[str]) -> Mapping[str, bool]:
    """The peers of an ExaBGP, from its `show neighbor summary`, and whether each session is up."""
    found = (_SUMMARY.fullmatch(line.strip()) for line in summary)
    return {one[1]: one[2] == "established" for one in found if one}
