"""Updates and sessions of all prefixes, by any filter; counts of them; and gaps."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from bgpledger import FoundEntry, HistoryEntry, TopEntry
from collector.http.answering import listing, respond
from collector.http.parameters import (
    Answered,
    EntryFilters,
    Listed,
    OfPeers,
    OfPrefixes,
    OfTimes,
    Paged,
    QueryArguments,
)
from collector.http.query_context import QueryContextDep
from collector.query.top import By, What

router = APIRouter(tags=["updates"])


class _Updates(EntryFilters, OfPrefixes, Paged):
    all: bool = Field(default=False, description="Go through the whole archive when no time is given.")


class _Top(Answered, EntryFilters, OfPrefixes):
    by: By = Field("announcements", description="What makes the order.")
    limit: int = Field(10, ge=1, le=10_000, description="Only the first N.")

    def arguments(self) -> QueryArguments:
        return {"limit": self.limit}


class _Gaps(Listed, OfPeers, OfTimes):
    pass


@router.get("/updates", summary="Updates and sessions, by any filter", **listing(FoundEntry))
async def updates(request: Request, context: QueryContextDep, wanted: Annotated[_Updates, Query()]) -> Response:
    """Updates and sessions that match the filters, oldest first.

    Filters on peers, times and origins limit what is read; all others are applied to what is read.
    """
    filters = wanted.filter(context)
    ask = partial(context.archive.search, filters, everything=wanted.all, deadline=context.deadline)
    return await respond(request, context, wanted, FoundEntry, ask)


@router.get("/top/{what}", summary="Prefixes, origins, peers or paths by activity", **listing(TopEntry))
async def top(
    request: Request,
    context: QueryContextDep,
    what: Annotated[What, Path(description="What to count.")],
    wanted: Annotated[_Top, Query()],
) -> Response:
    """The prefixes, origins, peers or paths with the most messages; without a time the whole archive is read."""
    ask = partial(context.archive.top, what, wanted.by, wanted.filter(context), deadline=context.deadline)
    return await respond(request, context, wanted, TopEntry, ask)


@router.get("/gaps", summary="Gaps: what peers sent and was not received", **listing(HistoryEntry))
async def gaps(request: Request, context: QueryContextDep, wanted: Annotated[_Gaps, Query()]) -> Response:
    """The gaps in the archive's records of peers, oldest first."""
    ask = partial(context.archive.gaps, wanted.filter(context), deadline=context.deadline)
    return await respond(request, context, wanted, HistoryEntry, ask)
