"""All routes, now or at a past time, and how they changed between two times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, TextIO

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from bgpledger import Answers, Filter, Route, RouteChange, parse_time
from collector.http.answering import Whole, listing, respond
from collector.http.parameters import TIME, Answered, Limited, Paged, RouteFilters, text
from collector.http.query_context import QueryContext, QueryContextDep
from collector.present.formats import write
from collector.present.names import Format
from collector.query.filter_names import FILTERS
from collector.query.rib import Match

router = APIRouter(tags=["routes"])


class RoutesParameters(RouteFilters, Paged):
    """The parameters of queries for current routes."""

    at: str | None = text(f"The time; default: now. {TIME}", "2h", "2026-11-27T12:00:00Z")


class _Diff(Answered, RouteFilters, Limited):
    earlier: str = Field(max_length=100, description=f"A time. {TIME}", examples=["2h"])
    later: str = Field(max_length=100, description="A later one.", examples=["1h"])
    prefix: str | None = text(FILTERS["prefix"], "203.0.113.0/24")


def whole_tables(
    context: QueryContext, wanted: RoutesParameters, filters: Filter, prefix: str | None, match: Match = "exact"
) -> Whole:
    """Routes written from their stored form."""
    at = parse_time(wanted.at)

    def ask(*, limit: int | None, after: None) -> Answers[Any]:  # noqa: ARG001  # who has a cursor gets pages
        return context.archive.rib_batches(prefix, filters, match=match, at=at, limit=limit, deadline=context.deadline)

    async def each(answers: AsyncIterator[Any], form: Format, stream: TextIO) -> int:
        return await write(answers, Route, form, stream, at=at)

    return Whole(ask, each)


@router.get("/rib", summary="All routes, now or at a time", **listing(Route))
async def rib(request: Request, context: QueryContextDep, wanted: Annotated[RoutesParameters, Query()]) -> Response:
    """The routes of all peers, now or at a past time: by peer, then in order of prefixes."""
    filters = wanted.filter(context)
    ask = partial(context.archive.rib, None, filters, at=wanted.at, deadline=context.deadline)
    return await respond(request, context, wanted, Route, ask, whole_tables(context, wanted, filters, None))


@router.get("/diff", summary="Which routes changed between two times", **listing(RouteChange))
async def diff(request: Request, context: QueryContextDep, wanted: Annotated[_Diff, Query()]) -> Response:
    """Which routes appeared, disappeared or changed between two times, and what changed."""
    filters = wanted.filter(context, prefix=None)
    times = wanted.earlier, wanted.later
    ask = partial(context.archive.diff, *times, wanted.prefix, filters, deadline=context.deadline)
    return await respond(request, context, wanted, RouteChange, ask)
