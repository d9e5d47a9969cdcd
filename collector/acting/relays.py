"""The acting process's ends of the relays: commands go out in order, a few at a time, and their answers come back."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_log = logging.getLogger(__name__)

_MOST_UNANSWERED: Final = 16
"""The maximum number of commands in flight: ExaBGP's answers must never fill its pipe (Exa-Networks/exabgp#1168)."""

Answered = Callable[[bool, Sequence[str]], None]
"""Called with whether ExaBGP answered `done`, and what it printed before that."""


class ListedPeer(NamedTuple):
    """A peer, as ExaBGP lists it."""

    is_up: bool
    """Whether its session is established."""
    families: frozenset[str]
    """Those that its session has negotiated."""


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


def peers_in(printed: Sequence[str]) -> dict[str, ListedPeer]:
    """The peers of an ExaBGP, by address, from its answer to `show neighbor json`."""
    try:
        return {
            one["peer"]["address"]: ListedPeer(one["fsm"].lower() == "established", frozenset(one["families"]))
            for one in json.loads("".join(printed))
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.error("ExaBGP listed its peers in an unknown form: %r", error)
        return {}
