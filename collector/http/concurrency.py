"""Limits how many queries are answered at once: for their memory, and for the archiver, which comes first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.http.live import SEND_SECONDS
from collector.http.problems import RefusedRequestError, respond

log = logging.getLogger(__name__)

_AT_ONCE = 16
_QUESTIONS = ("/api/v1/", "/data/")
_ENDLESS = "/api/v1/live"
"""Endless responses, which limit their own number."""
_READING = ("GET", "HEAD")
_PAUSE, _LONGEST_PAUSE = 9, 1.0
"""How much longer than a question the pause after it is, and its maximum in seconds: questions get a tenth of the
time."""
_LOOK_SECONDS = 0.5


class QueryLimit:
    """Admits some queries at a time; the others wait, and one whose reader does not read gives up its place.

    While the archiver is behind, queries are answered one by one, with pauses: all that the store does for them it does
    not do for the archiver. One that has waited for half of the maximum time is answered as if it were not. Whatever is
    not a query, such as an order, does not wait for the archiver.

    Args:
        app: the application that answers them.
        seconds: the maximum time to wait.
        is_behind: whether the archiver is behind.
    """

    def __init__(self, app: ASGIApp, seconds: float, is_behind: Callable[[], bool]) -> None:
        self._app = app
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._turns = _Turns(is_behind, patience=seconds / 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application when it is its turn."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or path == _ENDLESS or not path.startswith(_QUESTIONS):
            await self._app(scope, receive, send)
        elif scope["method"] in _READING:
            async with self._turns.one():
                await self._pass_on(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            cause = f"{_AT_ONCE} other questions are being answered"
            refused = RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, cause, "try again later, or ask for less", {"Retry-After": "5"}
            )
            await respond(refused)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _within(send))
        except _UnreadAnswerError:
            log.warning("an answer to %s was given up: the client did not read it", scope["path"])
        finally:
            self._places.release()


class _Turns:
    """The turns of queries while the archiver is behind.

    Args:
        is_behind: whether it is.
        patience: after how many seconds a query does not wait for its turn any more.
    """

    def __init__(self, is_behind: Callable[[], bool], patience: float) -> None:
        self._look = is_behind
        self._patience = patience
        self._is_behind, self._looked = False, float("-inf")
        self._turn = asyncio.Lock()
        self._next = 0.0
        """When the pause after the last query is over."""

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, which lasts until the block ends."""
        if not self._archiver_is_behind():
            yield
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._turn.acquire()
        except TimeoutError:
            yield
            return
        try:
            if self._archiver_is_behind():
                await asyncio.sleep(self._next - monotonic())
            began = monotonic()
            yield
            self._next = monotonic() + min(_PAUSE * (monotonic() - began), _LONGEST_PAUSE)
        finally:
            self._turn.release()

    def _archiver_is_behind(self) -> bool:
        if monotonic() > self._looked + _LOOK_SECONDS:
            self._is_behind, self._looked = self._look(), monotonic()
        return self._is_behind


class _UnreadAnswerError(Exception):
    pass


def _within(send: Send) -> Send:
    async def sending(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        except TimeoutError:
            raise _UnreadAnswerError from None

    return sending
