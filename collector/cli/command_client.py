"""Lets the HTTP server of a running collector answer a command: it has already imported what commands need.

The server runs the same code. Everything unusual is left to this process: another store than the collector's, arguments
that cannot be parsed, a server that does not answer at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from collector import local_server
from collector.errors import CollectorError
from schemas.json_object import JsonObject

ANSWERED_BY_SERVER = frozenset(("history", "rib", "lookup", "diff", "search", "top", "peers"))
"""Commands that end by themselves, and only query the archive."""
_PATIENCE = 3.0
"""Seconds within which a server must accept a command."""


def answer_from_server(words: Sequence[str]) -> int | None:
    """Send a command to the server, and print its answer.

    Args:
        words: the command line.

    Returns:
        The exit status; None: this process has to answer itself; nothing has been printed.

    Raises:
        CollectorError: the server ended in the middle of its answer.
        BrokenPipeError: nobody reads the output any more.
    """
    data_dir = _data_dir(words, os.environ)
    if data_dir is None or not (_takes_bytes(sys.stdout) and _takes_bytes(sys.stderr)):
        return None
    server = local_server.find_server(data_dir)
    sent = server and _accepted(server, _command(words, data_dir))
    if not sent:
        return None
    with sent:
        for kind, content in _pieces(sent):
            if kind == local_server.EXIT:
                return int(content)
            stream = sys.stdout if kind == local_server.OUT else sys.stderr
            stream.buffer.write(content)
            stream.flush()
    raise CollectorError("the collector's HTTP server ended in the middle of an answer", "see its log, and try again")


def _data_dir(words: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The data directory that a command would use according to the settings; None for other commands.

    It need only be right for command lines that the server parses in the same way: the server checks everything.
    """
    if any(name.startswith("BGPLEDGER_") and name != "BGPLEDGER_DATA_DIR" for name in environ):
        return None
    command, given, left = "", environ.get("BGPLEDGER_DATA_DIR"), iter(words)
    for word in left:
        if word == "--data-dir":
            given = next(left, None)
        elif word.startswith("--data-dir="):
            given = word.partition("=")[2]
        else:
            command = command or word
    if command not in ANSWERED_BY_SERVER:
        return None
    return os.path.abspath(given or local_server.default_data_dir(environ))


def _takes_bytes(stream: Any) -> bool:
    """Whether the server's output can be printed unchanged."""
    return isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() in ("utf-8", "utf8")


def _command(words: Sequence[str], data_dir: str) -> JsonObject:
    columns = None
    if sys.stdout.isatty():
        import shutil

        columns = shutil.get_terminal_size().columns
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return {
        "words": list(words),
        "directory": os.getcwd(),
        "data_dir": data_dir,
        "columns": columns,
        "bold": not plain,
        "errors_to_terminal": sys.stderr.isatty(),
    }


def _accepted(server: local_server.Server, command: JsonObject) -> BinaryIO | None:
    """Send a command; returns the answer, without its head, or None if the server does not accept it."""
    import json
    import socket

    body = json.dumps(command).encode()
    host = f"[{server.address}]" if ":" in server.address else server.address
    head = (
        f"POST {local_server.PATH} HTTP/1.0\r\nHost: {host}:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        with socket.create_connection((server.address, server.port), _PATIENCE) as connection:
            connection.sendall(head.encode() + body)
            answer = connection.makefile("rb")  # keeps the connection open
            status = answer.readline(1000).split()
            while answer.readline(10_000).strip():
                pass
            connection.settimeout(None)
    except (OSError, ValueError):
        return None
    return answer if status[1:2] == [b"200"] else None


def _pieces(sent: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The pieces of an answer, up to its end or an interruption."""
    try:
        yield from local_server.pieces(sent)
    except (ConnectionError, ValueError):
        return
