"""`/live`: the entries of `tail`, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from bgpledger import Filter
from bgpledger.cursors import LineMark
from collector.http.endless import EndlessResponse, Say
from collector.http.live import Live, SlowError
from collector.http.parameters import OfPrefixes, RouteFilters, filter_text
from collector.http.problems import Problem
from collector.http.query_context import QueryContextDep
from collector.query.follow import FollowedLine

router = APIRouter(tags=["updates"])

_STILL_HERE_SECONDS = 15.0
_SSE = "text/event-stream"
_LONGEST_ID = 8000
"""The maximum length of an id, enough for a hundred instances."""


class _LiveParameters(RouteFilters, OfPrefixes):
    elem: str | None = filter_text("elem", "announce")


@router.get(
    "/live",
    summary="What peers say, as it is stored",
    responses={200: {"description": "Events without end.", "content": {_SSE: {"schema": {"type": "string"}}}}},
    response_class=Response,
)
async def live(
    context: QueryContextDep,
    wanted: Annotated[_LiveParameters, Query()],
    last_event_id: Annotated[
        str | None,
        Header(max_length=_LONGEST_ID, description="Continue after this event; browsers send this by themselves."),
    ] = None,
) -> Response:
    """Updates and sessions as they are stored, as server-sent events: `data` is an entry of `/updates`, as JSON.

    A client that reads too slowly gets an event `dropped`, and then nothing more; a browser reconnects by itself with
    the last event's `id`, and misses nothing.
    """
    return _EventStream(context.live, wanted.filter(context), LineMark(last_event_id) if last_event_id else None)


class _EventStream(EndlessResponse):
    """The events."""

    def __init__(self, live: Live, filters: Filter, mark: LineMark | None) -> None:
        super().__init__(_SSE)
        self._live = live
        self._filters = filters
        self._mark = mark

    async def lines(self, stack: AsyncExitStack) -> AsyncIterator[FollowedLine]:
        """Those since the mark, or from now on."""
        if self._mark is not None:
            return await stack.enter_async_context(self._live.after(self._mark))
        return (await stack.enter_async_context(self._live.listening())).lines()

    def _events(self, line: FollowedLine, mark: LineMark) -> Iterator[str]:
        """The entries of a line that were not sent before, and match the filters."""
        for number in range(mark.given_of(line), len(line.entries)):
            mark.see(line, number + 1)
            entry = line.entries[number]
            if self._filters.matches(entry):
                yield f"id: {mark.token()}\ndata: {entry.model_dump_json()}\n\n"

    async def tell(self, lines: AsyncIterator[FollowedLine], say: Say) -> None:
        """Send those that match the filters."""
        mark = self._mark or LineMark()
        await say("retry: 2000\n\n")
        following = asyncio.ensure_future(anext(lines))
        try:
            while True:
                await asyncio.wait((following,), timeout=_STILL_HERE_SECONDS)
                if not following.done():
                    await say(": still here\n\n")
                    continue
                if events := "".join(self._events(following.result(), mark)):
                    await say(events)
                following = asyncio.ensure_future(anext(lines))
        except SlowError:
            cause = "entries come faster than they are read here"
            problem = Problem(title="Dropped", status=200, detail=cause, cure="come again with Last-Event-ID; filter")
            await say(f"event: dropped\ndata: {json.dumps(problem.model_dump())}\n\n")
        finally:
            following.cancel()
