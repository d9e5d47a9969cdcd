"""`/live`: what `tail` gives, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bgpledger import Filter, HistoryEntry, UsageError
from collector.http.asking import Asked
from collector.http.live import SEND_SECONDS, Live, SlowError, gone
from collector.http.parameters import OfPrefixes, RouteFilters, filter_text
from collector.http.problems import Problem
from collector.tasks import end

router = APIRouter(tags=["updates"])

_STILL_HERE_SECONDS = 15.0
_SSE = "text/event-stream"


class _LiveParameters(RouteFilters, OfPrefixes):
    elem: str | None = filter_text("elem", "announce")


@router.get(
    "/live",
    summary="What peers say, as it is stored",
    responses={200: {"description": "Events without end.", "content": {_SSE: {"schema": {"type": "string"}}}}},
    response_class=Response,
)
async def live(
    asked: Asked,
    wanted: Annotated[_LiveParameters, Query()],
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="Goes on behind this event, as browsers ask for by themselves.")
    ] = None,
) -> Response:
    """Updates and sessions as they are stored, as server-sent events: `data` is an entry of `/updates`, as JSON.

    Whoever reads too slowly gets an event `dropped` and no more; a browser comes again by itself, with the last event's
    `id`, and misses nothing.
    """
    return _EventStream(asked.live, wanted.filter(asked), _EventMark(last_event_id))


class _EventMark:
    """How far somebody has come: the milliseconds of the last entry, and how many of that millisecond they had."""

    def __init__(self, last_event_id: str | None) -> None:
        self.ts: datetime | None = None
        self._count = self._known = 0
        if last_event_id:
            milliseconds, _, count = last_event_id.partition("-")
            if not (milliseconds.isdecimal() and count.isdecimal() and len(milliseconds) < 15 and len(count) < 10):
                raise UsageError(f"{last_event_id[:80]!r} is not the id of an event", "leave Last-Event-ID out")
            self.ts = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
            self._known = int(count)

    def see(self, entry: HistoryEntry) -> str | None:
        """The id of an entry; None of one that they had before."""
        self._count = self._count + 1 if entry.ts == self.ts else 1
        known = self._known if entry.ts == self.ts else 0
        self.ts, self._known = entry.ts, known
        return None if self._count <= known else f"{round(entry.ts.timestamp() * 1000)}-{self._count}"


class _EventStream(Response):
    """A response that ends when its reader goes, or is too slow."""

    def __init__(self, live: Live, filters: Filter, mark: _EventMark) -> None:
        super().__init__(media_type=_SSE)
        del self.headers["content-length"]
        self._live = live
        self._filters = filters
        self._mark = mark

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until nobody reads them."""
        async with AsyncExitStack() as stack:
            entries = await self._entries(stack)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            working = asyncio.create_task(self._send(entries, send))
            leaving = asyncio.create_task(gone(receive))
            try:
                await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(working, leaving)

    async def _entries(self, stack: AsyncExitStack) -> AsyncIterator[HistoryEntry]:
        if self._mark.ts is not None:
            return await stack.enter_async_context(self._live.since(replace(self._filters, start=self._mark.ts)))
        listener = await stack.enter_async_context(self._live.listening())

        async def each() -> AsyncIterator[HistoryEntry]:
            while True:
                entry = await listener.get()
                if self._filters.matches(entry):
                    yield entry

        return each()

    async def _send(self, entries: AsyncIterator[HistoryEntry], send: Send) -> None:
        async def say(text: str) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        await say("retry: 2000\n\n")
        following = asyncio.ensure_future(anext(entries))
        try:
            while True:
                await asyncio.wait((following,), timeout=_STILL_HERE_SECONDS)
                if not following.done():
                    await say(": still here\n\n")
                    continue
                entry = following.result()
                if name := self._mark.see(entry):
                    await say(f"id: {name}\ndata: {entry.model_dump_json()}\n\n")
                following = asyncio.ensure_future(anext(entries))
        except SlowError:
            cause = "entries come faster than they are read here"
            problem = Problem(title="Dropped", status=200, detail=cause, cure="come again with Last-Event-ID; filter")
            await say(f"event: dropped\ndata: {json.dumps(problem.model_dump())}\n\n")
            await send({"type": "http.response.body", "body": b""})
        finally:
            following.cancel()
