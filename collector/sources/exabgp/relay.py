"""Connects ExaBGP's command pipe to the acting process: passes on commands and answers.

ExaBGP starts it, like the receiver, but it subscribes to nothing: with two subscribers each would miss the counts of
the other's lines. All it knows about its data is where lines end, and which of them are answers, so that an acting
process never gets the answer to a command of the previous one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_AGAIN_SECONDS: Final = 0.2
_CHUNK: Final = 2**16
_ANSWERS: Final = (b"done", b"error")
_BEGIN: Final = b"reset\nenable-ack\nversion\n"
"""Cancels what ExaBGP is still doing for a relay that died; from here on each command has its answer."""
_VERSION: Final = b"exabgp "


def hello(instance: int, exabgp: str) -> bytes:
    """The line by which a relay identifies itself to the acting process.

    Args:
        instance: the number of the ExaBGP.
        exabgp: what distinguishes this ExaBGP from the previous one.
    """
    return json.dumps({"do": "relay", "instance": instance, "exabgp": exabgp}).encode() + b"\n"


class Relay:
    """Carries lines until ExaBGP ends.

    Args:
        path: the acting process's socket.
        greeting: the value of `hello`.
        answers: where ExaBGP's answers come from.
        commands: where commands go.
    """

    def __init__(self, path: Path, greeting: bytes, *, answers: int = 0, commands: int = 1) -> None:
        self._path, self._greeting = path, greeting
        self._answers, self._commands = answers, commands
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._outstanding = 0
        """Commands that ExaBGP has not answered yet."""
        self._stale = 0
        """How many of these are from an acting process that has ended."""

    def run(self) -> None:
        """Carry lines, and reconnect to the acting process whenever it has ended; ends with ExaBGP."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        rest = self._begin()
        threading.Thread(target=self._carry_answers, args=(rest,), daemon=True).start()
        while True:
            with suppress(OSError):
                self._carry_commands()
            time.sleep(_AGAIN_SECONDS)

    def _begin(self) -> bytes:
        """Synchronise with ExaBGP; returns what followed its answer."""
        os.write(self._commands, _BEGIN)
        data, version = b"", -1
        while True:
            chunk = os.read(self._answers, _CHUNK)
            if not chunk:
                os._exit(0)
            data += chunk
            version = data.find(_VERSION) if version < 0 else version
            done = data.find(b"done\n", version) if version >= 0 else -1
            if done >= 0:
                return data[done + 5 :]

    def _carry_commands(self) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._path))
            connection.sendall(self._greeting)
            with self._lock:
                self._connection, self._stale = connection, self._outstanding
            try:
                rest = b""
                while data := connection.recv(_CHUNK):
                    whole, newline, rest = (rest + data).rpartition(b"\n")
                    if newline:
                        with self._lock:
                            self._outstanding += whole.count(b"\n") + 1
                        _write(self._commands, whole + newline)
            finally:
                with self._lock:
                    self._connection = None

    def _carry_answers(self, rest: bytes) -> None:
        while data := os.read(self._answers, _CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            with self._lock:
                fresh = [line for line in lines if self._is_fresh(line)]
                connection = self._connection
            if fresh and connection:
                with suppress(OSError):  # it has ended: the next one asks for what it needs to know
                    connection.sendall(b"\n".join(fresh) + b"\n")
        os._exit(0)

    def _is_fresh(self, line: bytes) -> bool:
        """Whether a line answers a command of the current acting process."""
        stale = self._stale > 0
        if line in _ANSWERS:
            self._outstanding -= 1
            self._stale -= stale
        return not stale


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
