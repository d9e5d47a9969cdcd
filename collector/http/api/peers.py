"""Peers, and their sessions."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bgpledger import PeerSession, PeerStatus
from collector.http.answering import listing, respond
from collector.http.parameters import Answered, OfTimes
from collector.http.query_context import QueryContextDep

router = APIRouter(tags=["peers"])


class _SessionsParameters(Answered, OfTimes):
    pass


@router.get("/peers", summary="The state of each peer, and since when", **listing(PeerStatus))
async def peers(request: Request, context: QueryContextDep, wanted: Annotated[Answered, Query()]) -> Response:
    """Each peer: its state and since when, its last keepalive, its updates and routes, and why it is not up."""
    ask = partial(context.archive.peers, deadline=context.deadline)
    return await respond(request, context, wanted, PeerStatus, ask)


Address = Annotated[str, Path(description="The peer's address.", max_length=100, examples=["192.0.2.1"])]


@router.get("/peers/{address}/sessions", summary="A peer's sessions, and why each ended", **listing(PeerSession))
async def sessions(
    request: Request, context: QueryContextDep, address: Address, wanted: Annotated[_SessionsParameters, Query()]
) -> Response:
    """The sessions of one peer within a time range, by their begin."""
    filters = wanted.filter(context, peer=address)
    ask = partial(context.archive.sessions, filters, deadline=context.deadline)
    return await respond(request, context, wanted, PeerSession, ask)
