"""Sends answers as a response: a page of JSON, or all of them as they arrive, in any format of the CLI."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from io import StringIO
from typing import Any, Generic, NamedTuple, TextIO, TypeVar, get_args

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bgpledger import Answers, BgpledgerError, UsageError
from collector.http.parameters import Listed
from collector.http.pieces import Pieces
from collector.http.query_context import QueryContext
from collector.present.formats import write_models
from collector.present.names import AnswerFormat, Format
from schemas.json_object import JsonObject

log = logging.getLogger(__name__)

T = TypeVar("T")

_TEXT = "text/plain; charset=utf-8"
MEDIA_TYPES = {"json": "application/json", "jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_ACCEPTED: dict[str, Format] = {"application/jsonl": "jsonl", "application/x-ndjson": "jsonl", "text/csv": "csv"}
"""The formats, besides JSON, that an Accept header can select."""


class Page(BaseModel, Generic[T]):
    """Some answers to a query."""

    answers: list[T]
    notes: list[str] = Field(description="What the reader should know about the answers.")
    covered: bool = Field(description="Whether the archive covers all of the time in question.")
    next: str | None = Field(description="The `cursor` of the next page; null if there is none.")


def listing(kind: type[BaseModel]) -> JsonObject:
    """The description of a query that is answered with a list."""
    text = {"schema": {"type": "string"}}
    more = {MEDIA_TYPES["jsonl"]: text, "text/csv": text, "text/plain": text}
    headers = {
        name: {"description": about, "schema": {"type": "string"}}
        for name, about in (
            ("Link", "Of a page that is not JSON: where the next one is (RFC 8288)."),
            ("Bgpledger-Notes", "`notes` as JSON, where the answer has no room for it."),
            ("Bgpledger-Covered", "`covered`, where the answer has no room for it."),
        )
    }
    answer = {"description": "The answers.", "content": more, "headers": headers}
    return {"response_model": Page[kind], "responses": {200: answer}}  # type: ignore[valid-type]


class Whole(NamedTuple):
    """Writes all answers to a query without a model of each."""

    ask: Callable[..., Answers[Any]]
    write: Callable[[AsyncIterator[Any], Format, TextIO], Awaitable[int]]


async def respond(
    request: Request,
    context: QueryContext,
    wanted: Listed,
    kind: type[BaseModel],
    ask: Callable[..., Answers[Any]],
    whole: Whole | None = None,
) -> Response:
    """The response with the answers to a query.

    Args:
        request: the request.
        context: the query's context.
        wanted: how many answers, and in which format.
        kind: the type of the answers.
        ask: runs the query, with the arguments from `wanted.arguments`.
        whole: runs the query and writes all answers; None: use `ask` for that too.

    Raises:
        UsageError: the query makes no sense.
    """
    form = wanted.format or _accepted(request)
    if form == "json" or wanted.is_paged:
        return await _page(request, context, wanted, kind, ask, form)
    whole = whole or Whole(ask, lambda answers, form, stream: write_models(answers, kind, form, stream))
    answers = whole.ask(**wanted.arguments())
    pieces = Pieces(answers, lambda answers, stream: whole.write(answers, form, stream))
    await pieces.begin()
    headers = _status_headers(context, covered=answers.covered)
    return _StreamedAnswer(pieces, headers=headers, media_type=MEDIA_TYPES.get(form, _TEXT))


class _StreamedAnswer(StreamingResponse):
    """A response that is cut off if its query fails: its connection ends without the end of the body."""

    def __init__(self, pieces: Pieces, headers: dict[str, str], media_type: str) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces; however that ends, so does the query."""
        try:
            await super().__call__(scope, receive, send)
        except BgpledgerError as error:
            log.warning("an answer to %s was cut off: %s", scope["path"], error.cause)
        finally:
            await self._pieces.aclose()


def _accepted(request: Request) -> Format:
    words = request.headers.get("accept", "").split(",")
    kinds = [word.partition(";")[0].strip().lower() for word in words]
    return next((_ACCEPTED[kind] for kind in kinds if kind in _ACCEPTED), "json")


def _status_headers(context: QueryContext, *, covered: bool) -> dict[str, str]:
    """The notes about answers in formats that have no place for them."""
    return {"Bgpledger-Notes": json.dumps(context.notes), "Bgpledger-Covered": json.dumps(covered)}


async def _page(
    request: Request,
    context: QueryContext,
    wanted: Listed,
    kind: type[BaseModel],
    ask: Callable[..., Answers[Any]],
    form: Format,
) -> Response:
    if form not in get_args(AnswerFormat):
        raise UsageError(f"there are no pages of {form}", "leave page and cursor out, or ask for another format")
    cut_at, text = wanted.cut_at, StringIO()
    answers = ask(**wanted.arguments())
    cut = _Cut(answers, cut_at)
    await write_models(cut.given(), kind, form, text)
    if cut.is_cut and cut.next is None:
        context.notes.append(f"there are more than these {cut_at}: jsonl and csv have them all")
    if form == "json":
        rest = {"notes": context.notes, "covered": answers.covered, "next": cut.next}
        body = f'{{"answers":{text.getvalue().rstrip()},{json.dumps(rest, separators=(",", ":"))[1:]}\n'
        return Response(body, media_type=MEDIA_TYPES[form])
    headers = _status_headers(context, covered=answers.covered)
    if cut.next:
        headers["Link"] = f'<{request.url.include_query_params(cursor=cut.next)}>; rel="next"'
    return Response(text.getvalue(), headers=headers, media_type=MEDIA_TYPES.get(form, _TEXT))


class _Cut(Generic[T]):
    """The first answers of a query."""

    def __init__(self, answers: Answers[T], size: int) -> None:
        self.is_cut = False
        """Whether there are more."""
        self.next: str | None = None
        """The cursor after the last of them, if there are more."""
        self._answers = answers
        self._size = size

    async def given(self) -> AsyncIterator[T]:
        """The answers."""
        count, cursor = 0, None
        async with self._answers:
            async for one in self._answers:
                if count == self._size:
                    self.is_cut, self.next = True, cursor
                    return
                yield one
                count += 1
                if count == self._size:
                    cursor = self._answers.cursor
