"""Receives RIS Live, and writes its messages to the spool first."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from collector.retry import HEALTHY_SECONDS, pauses, sleep
from collector.settings.sources import RisLiveSettings
from collector.sources.ris_live import lines
from collector.sources.ris_live.state import FeedState
from collector.tasks import end
from schemas.scalars import from_unix

log = logging.getLogger("ris_live")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LONGEST_MESSAGE = 2**20
_ALIVE_SECONDS = 20.0
"""How often the server is pinged (RFC 6455 5.5.2), and how long it may take to answer."""
_ERROR = "ris_error"
_TELL_SECONDS = 1.0


class RisLiveReceiver:
    """One connection after the other.

    Args:
        settings: the URL, and the subscriptions.
        write: takes lines; waits only for the disk.
        tell: called with the feed's state when it changes, at most once a second.
    """

    def __init__(
        self,
        settings: RisLiveSettings,
        write: Callable[[bytes], None],
        tell: Callable[[FeedState], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._write = write
        self._tell = tell
        self._state = FeedState(pid=os.getpid(), connected=False, since=from_unix(time.time()))
        self._connections = 0
        self._last: float | None = None
        self._url = f"{settings.url}{'&' if '?' in settings.url else '?'}client={quote(settings.client)}"

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive until an event is set; reconnect, after growing pauses, whenever the connection ends."""
        loop = asyncio.get_running_loop()
        waits = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.1)
        listening: asyncio.Task[str] | None = None
        stopped = asyncio.create_task(stopping.wait())
        telling = asyncio.create_task(self._keep_telling())
        while not stopping.is_set():
            began = loop.time()
            listening = asyncio.create_task(self._listen())
            await asyncio.wait((listening, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                break
            self._is_connected(connected=False)
            if loop.time() - began > HEALTHY_SECONDS:
                waits = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=0.1)
            pause = next(waits)
            log.warning("%s: %s; connecting again in %.0f s", self._settings.url, listening.result(), pause)
            await sleep(pause, unless=stopping)
        if listening is not None:
            await end(listening)
        await end(stopped)
        await end(telling)

    async def _listen(self) -> str:
        """Receive from one connection; returns why it ended."""
        try:
            async with connect(
                self._url, max_size=_LONGEST_MESSAGE, ping_interval=_ALIVE_SECONDS, ping_timeout=_ALIVE_SECONDS
            ) as connection:
                await self._subscribe(connection)
                log.info("listening to %s", self._settings.url)
                self._connections += 1
                self._is_connected(connected=True)
                self._write(lines.connected())
                async for message in connection:
                    self._take(message)
                return f"the other end closed the connection{_words(connection)}"
        except ConnectionClosed as error:
            return f"the connection was lost: {error}"
        except InvalidStatus as error:
            return f"it answers {error.response.status_code}, and not as a WebSocket (see [ris_live] url)"
        except (OSError, WebSocketException, TimeoutError) as error:
            return f"it cannot be connected to: {str(error) or type(error).__name__}"

    async def _subscribe(self, connection: ClientConnection) -> None:
        options = {"socketOptions": {"includeRaw": True, "acknowledge": True}}
        for wanted in self._settings.subscribe:
            await connection.send(json.dumps({"type": "ris_subscribe", "data": {**wanted, **options}}))

    def _take(self, message: str | bytes) -> None:
        if message:
            self._last = time.time()
            self._write(lines.arrived(message))
        if isinstance(message, str) and _ERROR in message[:200]:
            self._tell_error(message)

    def _is_connected(self, *, connected: bool) -> None:
        if connected != self._state.connected:
            self._state = self._state.model_copy(update={"connected": connected, "since": from_unix(time.time())})

    async def _keep_telling(self) -> None:
        written = None
        while True:
            last = from_unix(self._last) if self._last else None
            now = {"last_message": last, "reconnects": max(self._connections - 1, 0)}
            if (state := self._state.model_copy(update=now)) != written:
                self._tell(state)
                written = state
            await asyncio.sleep(_TELL_SECONDS)

    def _tell_error(self, message: str) -> None:
        with suppress(ValueError, KeyError, TypeError):
            error = json.loads(message)
            if error["type"] == _ERROR:
                words = "".join(filter(str.isprintable, str(error["data"]["message"])))[:300]
                log.error("%s refuses: %s (correct [ris_live] subscribe or client)", self._settings.url, words)


def _words(connection: ClientConnection) -> str:
    code, reason = connection.close_code, "".join(filter(str.isprintable, connection.close_reason or ""))[:200]
    return f" ({code}{f', {reason}' if reason else ''})" if code else ""
