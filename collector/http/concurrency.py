"""Limits how many queries are answered at once, and thus their memory."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.http.live import SEND_SECONDS
from collector.http.problems import RefusedRequestError, respond

log = logging.getLogger(__name__)

_AT_ONCE = 16
_QUESTIONS = ("/api/v1/", "/data/")
_ENDLESS = "/api/v1/live"
"""Endless responses, which limit their own number."""


class QueryLimit:
    """Admits some queries at a time; the others wait, and one whose reader does not read gives up its place.

    Args:
        app: the application that answers them.
        seconds: the maximum time to wait.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application when it is its turn."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or path == _ENDLESS or not path.startswith(_QUESTIONS):
            await self._app(scope, receive, send)
            return
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
            log.warning("an answer to %s was given up: the client did not read it", path)
        finally:
            self._places.release()


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
