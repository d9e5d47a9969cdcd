"""`/command`: answers commands of this user, in a process that has already imported what they need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TextIO

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bgpledger import Archive
from collector import local_server
from collector.http.live import gone
from collector.http.problems import RefusedRequestError
from collector.http.query_context import QueryContextDep
from collector.present.layout import Elsewhere
from collector.tasks import end

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""How many commands are answered at once; further ones answer themselves. One may take long if its reader pages through
it."""
_SOON = 0.1
"""Seconds after which available output is sent."""
_PIECE = 64 * 1024
"""The maximum number of characters that are sent at once."""

router = APIRouter(include_in_schema=False)


class Command(Protocol):
    """A command that was parsed."""

    async def answer(
        self, archive: Archive, out: TextIO, err: TextIO, between: Callable[[], Awaitable[None]], /
    ) -> int:
        """Write the command's output and messages; returns its exit status. `between` is awaited now and then."""


Read = Callable[[Sequence[str], Path, Path, TextIO], Command | None]
"""Parses the arguments given in a working directory, for a data directory, and reports what looks odd.

None: the command has to run by itself.
"""


class _Typed(BaseModel):
    """A command, and where its output goes."""

    model_config = ConfigDict(extra="forbid")

    words: tuple[str, ...]
    directory: Path
    data_dir: Path
    columns: int | None
    bold: bool
    errors_to_terminal: bool


class Commands:
    """The commands that are being answered.

    Args:
        read: parses one.
    """

    def __init__(self, read: Read) -> None:
        self.read = read
        self.going = 0


@router.post(local_server.PATH)
async def command(request: Request, context: QueryContextDep, typed: _Typed) -> Response:
    """The output and messages of a command, in pieces, and its exit status."""
    commands: Commands = request.app.state.commands
    if commands.going >= _AT_ONCE:
        raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, f"{_AT_ONCE} commands are being answered")
    out = Elsewhere(typed.columns, bold=typed.bold)
    err = Elsewhere(0 if typed.errors_to_terminal else None)
    read = commands.read(typed.words, typed.directory, typed.data_dir, err)
    if read is None:
        raise RefusedRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "this command has to be run by itself")
    return _Answer(read, context.archive, out, err, commands)


class _Answer(Response):
    """A response that ends with the command, or when its reader leaves."""

    def __init__(self, read: Command, archive: Archive, out: Elsewhere, err: Elsewhere, commands: Commands) -> None:
        super().__init__(media_type="application/octet-stream")
        del self.headers["content-length"]
        self._read = read
        self._archive = archive
        self._streams = {local_server.ERR: err, local_server.OUT: out}
        self._commands = commands
        self._sending = asyncio.Lock()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until there are no more, or the reader leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._commands.going += 1
        working = asyncio.create_task(self._work(send))
        side_tasks = [asyncio.create_task(self._send_on_and_on(send)), asyncio.create_task(gone(receive))]
        try:
            done, _ = await asyncio.wait((working, *side_tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._commands.going -= 1
            await end(working, *side_tasks)
        if working in done:  # what it raises because it was ended is of no interest: the driver has errors of its own
            working.result()

    async def _work(self, send: Send) -> None:
        out = self._streams[local_server.OUT]

        async def between() -> None:
            if out.tell() >= _PIECE:
                await self._send(send)

        status = await self._read.answer(self._archive, out, self._streams[local_server.ERR], between)
        await self._send(send)
        last = local_server.piece(local_server.EXIT, str(status).encode())
        await send({"type": "http.response.body", "body": last})

    async def _send_on_and_on(self, send: Send) -> None:
        while True:
            await asyncio.sleep(_SOON)
            await self._send(send)

    async def _send(self, send: Send) -> None:
        async with self._sending:
            written = {kind: stream.take() for kind, stream in self._streams.items()}
            body = b"".join(
                local_server.piece(kind, text.encode(errors="backslashreplace"))
                for kind, text in written.items()
                if text
            )
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
