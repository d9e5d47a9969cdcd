"""How commands find the HTTP server of this user's running collector, and the protocol between them.

The server answers a command in a fraction of the time that the command's own imports take, so this module only imports
what is light. The server publishes its address in a file that only its owner can read, with a token that changes at
each start, and keeps the file locked while it runs, however it ends: so no other process can be at that port.
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
"""The kinds of pieces of an answer: stdout, stderr, and the exit status, which comes last."""
_FILE = "http.json"


class Server(NamedTuple):
    """An HTTP server that answers commands."""

    address: str
    port: int
    token: str
    """The token that a command has to send."""
    version: str
    """The server's version: commands of another version may have other options."""


@contextmanager
def published(data_dir: str, server: Server) -> Iterator[None]:
    """Let commands of this user find a server until the block ends.

    Raises:
        OSError: the file cannot be written.
    """
    path = os.path.join(data_dir, _FILE)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a command that looks at it locks it only briefly
        os.fchmod(descriptor, 0o600)
        file.truncate()
        json.dump(server._asdict(), file)
        file.flush()
        try:
            yield
        finally:
            os.unlink(path)


def find_server(data_dir: str) -> Server | None:
    """The server that answers the commands of this user, if one of this version is running."""
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
    """Whether another process has locked a file (flock(2)). If not, this one locks it until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def installed_version() -> str | None:
    """The installed version, as importlib.metadata would read it, from the name of this directory."""
    prefix, suffix = "bgpledger-", ".dist-info"
    for place in sys.path:
        with suppress(OSError):
            for name in os.listdir(place or os.curdir):
                if name.startswith(prefix) and name.endswith(suffix):
                    return name.removeprefix(prefix).removesuffix(suffix)
    return None


def default_data_dir(environ: Mapping[str, str]) -> str:
    """Where a collector keeps its files by default: the data directory of the XDG Base Directory Specification."""
    given = environ.get("XDG_DATA_HOME", "")
    home = environ.get("HOME") or os.path.expanduser("~")
    # The specification says that a relative XDG_DATA_HOME is invalid, and to be ignored.
    return os.path.join(given if given.startswith("/") else os.path.join(home, ".local", "share"), "bgpledger")


def piece(kind: str, content: bytes) -> bytes:
    """A piece of an answer, encoded for sending."""
    return b"%s %d\n%s" % (kind.encode(), len(content), content)


def pieces(sent: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The pieces of an answer as they arrive; an interrupted answer has no exit status.

    Raises:
        OSError: the connection broke.
        ValueError: it is not an answer.
    """
    while line := sent.readline(100):
        kind, length = line.split()
        yield kind.decode(), sent.read(int(length))
