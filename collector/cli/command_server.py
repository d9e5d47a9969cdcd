"""Parses commands that other processes of this user send to the HTTP server, and answers them as those would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import typer

from bgpledger import Archive, BgpledgerError
from collector.cli import error_text, make_app
from collector.cli.command_client import ANSWERED_BY_SERVER
from collector.cli.query_command import QueryCommand


class ReadCommand:
    """A command that queries the archive of a collector.

    Args:
        command: the parsed command.
    """

    def __init__(self, command: QueryCommand) -> None:
        self._command = command

    async def answer(self, archive: Archive, out: TextIO, err: TextIO, between: Callable[[], Awaitable[None]]) -> int:
        """Write its stdout and stderr; returns its exit status.

        Args:
            archive: the collector's.
            out: the command's stdout.
            err: the command's stderr.
            between: awaited now and then.
        """
        try:
            await self._command.answer(archive, out, err, between)
        except BgpledgerError as error:
            err.write(error_text(error))
            return error.exit_status
        return 0


def read(words: Sequence[str], directory: Path, data_dir: Path, err: TextIO) -> ReadCommand | None:
    """Parse a command line; None: the client has to run it itself, which also reports errors in it.

    Args:
        words: the command's arguments.
        directory: the command's working directory.
        data_dir: the server's own data directory.
        err: gets notes about what looks odd.
    """
    name = next((word for word in words if word in ANSWERED_BY_SERVER), None)
    if name is None:
        return None
    try:
        with redirect_stdout(StringIO()), redirect_stderr(err):
            command = _commands(name)(args=list(words), standalone_mode=False)
    except (BgpledgerError, typer.TyperException):
        return None
    if not isinstance(command, QueryCommand) or command.where.names_a_store:
        return None
    named = command.where.named_data_dir
    if named is not None and directory / named != data_dir:
        return None
    return ReadCommand(command)


def prepare() -> None:
    """Import what all commands need, so that the first one does not wait for it."""
    for name in ANSWERED_BY_SERVER:
        _commands(name)


@cache
def _commands(name: str) -> Callable[..., Any]:
    return typer.main.get_command(make_app((name,)))
