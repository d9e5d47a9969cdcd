"""How commands find the HTTP server of this user's running collector, and the protocol between them.

A command is answered there in a fraction of the time that its own imports take, so nothing is imported here but what
is light. The server says where it is in a file for its owner's eyes only, with a token that is made anew at each of its
starts, and keeps the file locked for as long as it lives, however it dies: what listens at that port is no other.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple, TextIO

PATH = "/command"
"""Where commands are answered."""
OUT, ERR, EXIT = "out", "err", "exit"
"""What the pieces of an answer are: of stdout, of stderr, and the exit status, which comes last."""
_FILE = "http.json"


class Server(NamedTuple):
    """An HTTP server that answers commands."""

    address: str
    port: int
    token: str
    """What a command has to show."""
    version: str
    """Of what it runs: commands of another one may have other words."""


@contextmanager
def told_of(data_dir: str, server: Server) -> Iterator[None]:
    """Let commands of this user find a server until the block ends.

    Raises:
        OSError: the file cannot be written.
    """
    path = os.path.join(data_dir, _FILE)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a command that looks has it for no time
        os.fchmod(descriptor, 0o600)
        file.truncate()
        json.dump(server._asdict(), file)
        file.flush()
        try:
            yield
        finally:
            os.unlink(path)


def find_server(data_dir: str) -> Server | None:
    """The server that answers the commands of this user, if one does, of this very version."""
    try:
        file = open(os.path.join(data_dir, _FILE), encoding="utf-8")  # noqa: SIM115  # closed below
    except OSError:
        return None
    with file:
        if not is_locked(file):
            return None
        try:
            found = Server(**json.load(file))
        except (OSError, ValueError, TypeError):
            return None
    return found if found.version == installed_version() else None


def is_locked(file: int | TextIO) -> bool:
    """Whether another process has locked a file (flock(2)), which ends with it. Else we have, until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def installed_version() -> str | None:
    """The version of what is installed, which importlib.metadata would read from the very name of this directory."""
    before, behind = "bgpledger-", ".dist-info"
    for place in sys.path:
        with suppress(OSError):
            for name in os.listdir(place or os.curdir):
                if name.startswith(before) and name.endswith(behind):
                    return name.removeprefix(before).removesuffix(behind)
    return None


def default_data_dir(environ: Mapping[str, str]) -> str:
    """Where a collector keeps its files unless told: the XDG Base Directory Specification's data directory."""
    given = environ.get("XDG_DATA_HOME", "")
    home = environ.get("HOME") or os.path.expanduser("~")
    # A relative XDG_DATA_HOME is invalid, says the specification, and to be ignored.
    return os.path.join(given if given.startswith("/") else os.path.join(home, ".local", "share"), "bgpledger")


def piece(kind: str, content: bytes) -> bytes:
    """A piece of an answer, as it is sent."""
    return b"%s %d\n%s" % (kind.encode(), len(content), content)


def pieces(sent: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The pieces of an answer as they come; one that breaks off has no exit status.

    Raises:
        OSError: the connection broke.
        ValueError: this is no answer.
    """
    while line := sent.readline(100):
        kind, length = line.split()
        yield kind.decode(), sent.read(int(length))
