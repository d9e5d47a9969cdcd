"""One prefix: its history, the routes to it and to related prefixes, and each peer's longest match."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bgpledger import HistoryEntry, Route
from collector.http.answering import listing, respond
from collector.http.api.routes import RoutesParameters, whole_tables
from collector.http.parameters import EntryFilters, Paged, QueryArguments
from collector.http.query_context import QueryContextDep
from collector.query.filters import PrefixMatch

router = APIRouter(tags=["prefixes"])

Prefix = Annotated[
    str,
    Path(
        description="An IPv4 or IPv6 prefix; an address is its own /32 or /128.",
        max_length=100,
        examples=["203.0.113.0/24"],
    ),
]


class _HistoryParameters(EntryFilters, Paged):
    with_ours: bool = Query(
        default=False, description="Also our own announcements: who ordered them, and whether each peer got them."
    )


class _Rib(RoutesParameters):
    match: PrefixMatch = Query("exact", description="Also the prefixes within it, or those that cover it.")


@router.get("/prefixes/{prefix:path}/history", summary="What every peer said about a prefix", **listing(HistoryEntry))
async def history(
    request: Request, context: QueryContextDep, prefix: Prefix, wanted: Annotated[_HistoryParameters, Query()]
) -> Response:
    """What every peer said about a prefix, oldest first, and the session ends that withdrew it."""
    filters = wanted.filter(context)
    ask = partial(context.archive.history, prefix, filters, with_ours=wanted.with_ours, deadline=context.deadline)
    return await respond(request, context, wanted, HistoryEntry, ask)


@router.get("/prefixes/{prefix:path}/rib", summary="The routes to a prefix, now or at a time", **listing(Route))
async def rib(request: Request, context: QueryContextDep, prefix: Prefix, wanted: Annotated[_Rib, Query()]) -> Response:
    """The routes to a prefix, now or at a past time, by peer; optionally also to more or less specific prefixes."""
    filters = wanted.filter(context, match=None)
    how: QueryArguments = {"match": wanted.match, "at": wanted.at, "deadline": context.deadline}
    ask = partial(context.archive.rib, prefix, filters, **how)
    whole = whole_tables(context, wanted, filters, prefix, wanted.match)
    return await respond(request, context, wanted, Route, ask, whole)


@router.get("/prefixes/{prefix:path}/lookup", summary="Each peer's longest match for an address", **listing(Route))
async def lookup(
    request: Request, context: QueryContextDep, prefix: Prefix, wanted: Annotated[RoutesParameters, Query()]
) -> Response:
    """Each peer's route to an address, or to a prefix: its longest match, now or at a past time.

    Filters are applied to these routes.
    """
    filters = wanted.filter(context)
    how: QueryArguments = {"match": "longest", "at": wanted.at, "deadline": context.deadline}
    ask = partial(context.archive.rib, prefix, filters, **how)
    return await respond(
        request, context, wanted, Route, ask, whole_tables(context, wanted, filters, prefix, "longest")
    )
