"""What all data calls have in common: the envelope, times without a zone, resources, and the notes in `messages`."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version
from typing import Literal, NamedTuple, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from bgpledger import Answers, BgpledgerError, UsageError, parse_prefix, parse_time
from collector.http.problems import status_and_headers
from collector.http.query_context import QueryContext
from schemas.json_object import JsonObject

T = TypeVar("T")
Message = tuple[Literal["info", "warning", "error"], str]

MOST = 100_000
"""The maximum number of answers that are read for one call."""
_WEEKS = timedelta(days=14)
_TEXT = 4000

Json = JsonObject
"""An object of an answer, in the shape that RIPEstat documents for its data call."""


class Common(BaseModel):
    """The parameters of every data call; RIPEstat's other parameters are ignored, as RIPEstat does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    unix_timestamps: bool = Field(default=False, description="Times in seconds since 1970.")
    sourceapp: str | None = Field(None, max_length=_TEXT, description="Ignored.")
    preferred_version: str | None = Field(None, max_length=20, description="For asn-neighbours: 4.1 or 5.0.")
    data_overload_limit: str | None = Field(None, max_length=20, description="Ignored.")


class OfResource(Common):
    """A call about a resource."""

    resource: str = Field(
        max_length=_TEXT,
        description="A prefix, an address or an AS, or several with commas.",
        examples=["203.0.113.0/24"],
    )


class Spanned(OfResource):
    """A call about a time range."""

    starttime: str | None = Field(None, max_length=100, description="ISO 8601 or unix seconds; UTC without a zone.")
    endtime: str | None = Field(None, max_length=100, description="In the same form; default: now.")


class TimeRange(NamedTuple):
    """A time range."""

    start: datetime
    end: datetime


def span_of(wanted: Spanned, default: timedelta = _WEEKS) -> TimeRange:
    """The time range of a call.

    Raises:
        UsageError: it is empty, or a time is invalid.
    """
    end = parse_time(wanted.endtime) or datetime.now(UTC)
    start = parse_time(wanted.starttime) or end - default
    if start >= end:
        raise UsageError(f"starttime ({wanted.starttime}) is not before endtime ({wanted.endtime})", "swap them")
    return TimeRange(start, end)


class Resource(NamedTuple):
    """What a call is about."""

    text: str
    """As echoed: an AS without "AS"."""
    prefixes: tuple[str, ...]
    addresses: tuple[str, ...]
    asns: tuple[int, ...]

    def only_asn(self) -> int:
        """The AS, if the resource is one.

        Raises:
            UsageError: it is something else.
        """
        if len(self.asns) != 1 or self.prefixes or self.addresses:
            raise UsageError(f"{self.text!r} is not an AS", "give resource as a number, or as AS64500")
        return self.asns[0]


def parse_resource(text: str, say: Callable[[str], None]) -> Resource:
    """The resource of a call; BGPlay writes it in brackets.

    Raises:
        UsageError: it is neither a prefix, an address nor an AS.
    """
    prefixes: list[str] = []
    addresses: list[str] = []
    asns: list[int] = []
    for word in text.strip().removeprefix("[").removesuffix("]").split(","):
        one = word.strip().strip("\"'")
        number = one.upper().removeprefix("AS")
        if number.isascii() and number.isdecimal() and int(number[:11]) < 2**32:
            asns.append(int(number))
        else:
            prefix = parse_prefix(one, say=say)
            # prsw writes an address as a prefix of one address.
            (addresses if prefix.endswith("/128" if ":" in prefix else "/32") else prefixes).append(prefix)
    echoed = str(asns[0]) if len(asns) == 1 and not prefixes and not addresses else text
    return Resource(echoed, tuple(prefixes), tuple(addresses), tuple(asns))


class Call:
    """A data call that is being answered.

    Args:
        context: the query's context.
        unix: whether times are numbers.
    """

    def __init__(self, context: QueryContext, *, unix: bool = False) -> None:
        self.archive = context.archive
        self._ends = time.monotonic() + context.deadline
        self.notes = context.notes
        self._unix = unix
        self._messages: list[Message] = []

    @property
    def deadline(self) -> float:
        """The seconds left for the whole call, however many queries it makes."""
        return max(self._ends - time.monotonic(), 0.0)

    def tell(self, level: Literal["info", "warning"], text: str) -> None:
        """Add a message to the answer, once."""
        if (level, text) not in self._messages:
            self._messages.append((level, text))

    def time(self, moment: datetime) -> str | int:
        """A time as RIPEstat writes it: without a zone, to the second."""
        return int(moment.timestamp()) if self._unix else zoneless(moment)

    async def all_of(self, answers: Answers[T]) -> list[T]:
        """The answers, up to the maximum for one call; a message says if there are more."""
        found: list[T] = []
        async with answers:
            async for one in answers:
                if len(found) == MOST:
                    self.tell("warning", f"this answer is made of {MOST} entries, and there are more: ask for less")
                    break
                found.append(one)
        return found

    @property
    def messages(self) -> list[Message]:
        """All messages about the answer."""
        return [*(("warning", note) for note in dict.fromkeys(self.notes)), *self._messages]


def zoneless(moment: datetime) -> str:
    """A time to the second, in ISO 8601 without a zone, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def answer(
    name: str,
    version_of_call: str,
    context: QueryContext,
    wanted: Common,
    work: Callable[[Call], Awaitable[Json]],
) -> JSONResponse:
    """The answer to a call in its envelope; errors are reported in `messages`, as RIPEstat does.

    The envelope has no `pipeline`: prsw 0.3.1 rejects answers with it.
    """
    began = time.monotonic()
    call = Call(context, unix=wanted.unix_timestamps)
    data: Json = {}
    status, messages = HTTPStatus.OK, call.messages
    try:
        data = await work(call)
        messages = call.messages
    except BgpledgerError as error:
        status, _ = status_and_headers(error)
        messages = [("error", f"{error.cause} ({error.cure})" if error.cure else error.cause)]
    now = datetime.now(UTC)
    envelope = {
        "messages": messages,
        "see_also": [],
        "version": version_of_call,
        "data_call_name": name,
        "data_call_status": "supported",
        "cached": False,
        "query_id": f"{now:%Y%m%d%H%M%S}-{uuid.uuid4()}",
        "process_time": int((time.monotonic() - began) * 1000),
        "server_id": socket.gethostname(),
        "build_version": version("bgpledger"),
        "status": "ok" if status is HTTPStatus.OK else "error",
        "status_code": status.value,
        "time": now.replace(tzinfo=None).isoformat(timespec="microseconds"),
        "data": data,
    }
    return JSONResponse(envelope, status)
