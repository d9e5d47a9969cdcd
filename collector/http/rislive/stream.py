"""`/v1/stream/`: the same messages as lines of one response, for clients that subscribe once, by a header."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from bgpledger import StoreError, UsageError
from collector.http.endless import EndlessResponse, Say
from collector.http.live import Live, SlowError
from collector.http.problems import RESPONSES
from collector.http.query_context import QueryContextDep
from collector.http.rislive.feed import Feed, Playback, error_text
from collector.http.rislive.subscriptions import Request, SocketOptions
from collector.query.follow import FollowedLine

router = APIRouter()

_JSON = "application/json"
_LONGEST_SUBSCRIPTION = 12_000


class _Asked(BaseModel):
    format: Literal["json"] = Field("json", description="JSON, one message a line.")
    client: str = Field("", max_length=200, description="The client's name.")
    begin: str | None = Field(None, alias="from", description="Play back from this time on; without it, live.")
    speed: str = Field("1", description="How many times as fast as it was to play back.")


@router.get(
    "/v1/stream/",
    tags=["RIS Live"],
    summary="What peers say, for RIS Live's clients",
    responses={
        **RESPONSES,
        200: {"description": "Messages without end, one a line.", "content": {_JSON: {"schema": {"type": "object"}}}},
    },
    response_class=Response,
)
async def stream(
    context: QueryContextDep,
    asked: Annotated[_Asked, Query()],
    x_ris_subscribe: Annotated[
        str, Header(max_length=_LONGEST_SUBSCRIPTION, description="The `data` of a `ris_subscribe`.")
    ] = "{}",
) -> Response:
    """The messages of RIS Live's protocol, with their bytes unless `socketOptions` says otherwise.

    A client that reads too slowly gets a `ris_error`, and then nothing more.
    """
    playback = Playback.parse(asked.begin, asked.speed)
    feed = await Feed.open(context.archive)
    feed.subscriptions.options = SocketOptions(includeRaw=True)
    feed.subscribe(_request(x_ris_subscribe))
    return _MessageStream(context.live, feed, playback)


def _request(said: str) -> Request:
    try:
        return Request.parse(json.loads(said))
    except (ValueError, RecursionError):
        raise UsageError("X-RIS-Subscribe is not JSON", 'send {"prefix": "203.0.113.0/24"}') from None


class _MessageStream(EndlessResponse):
    """The messages."""

    def __init__(self, live: Live, feed: Feed, playback: Playback) -> None:
        super().__init__(_JSON)
        self._live = live
        self._feed = feed
        self._playback = playback

    async def lines(self, stack: AsyncExitStack) -> AsyncIterator[FollowedLine]:
        """What is stored, from now on or played back."""
        return await self._feed.lines(self._live, self._playback, stack)

    async def tell(self, lines: AsyncIterator[FollowedLine], say: Say) -> None:
        """Send those that were subscribed to.

        Nothing is sent to show that the connection lives: libbgpstream ends at an empty line.
        """
        try:
            async for line in lines:
                if message := await self._feed.message(line):
                    await say(f"{message}\n")
        except (SlowError, StoreError) as error:
            await say(f"{error_text(error)}\n")
