"""Peers, and their sessions."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bgpledger import PeerSession, PeerStatus
from collector.http.answering import listing, respond
from collector.http.asking import Asked
from collector.http.parameters import Answered, OfTimes

router = APIRouter(tags=["peers"])


class _SessionsParameters(Answered, OfTimes):
    pass


@router.get("/peers", summary="The state of each peer, and since when", **listing(PeerStatus))
async def peers(request: Request, asked: Asked, wanted: Annotated[Answered, Query()]) -> Response:
    """Each peer: its state and since when, its last keepalive, its updates and routes, and why it is not up."""
    ask = partial(asked.archive.peers, deadline=asked.deadline)
    return await respond(request, asked, wanted, PeerStatus, ask)


Address = Annotated[str, Path(description="The peer's address.", max_length=100, examples=["192.0.2.1"])]


@router.get("/peers/{address}/sessions", summary="A peer's sessions, and why each ended", **listing(PeerSession))
async def sessions(
    request: Request, asked: Asked, address: Address, wanted: Annotated[_SessionsParameters, Query()]
) -> Response:
    """The sessions of one peer within a time range, by their begin."""
    filters = wanted.filter(asked, peer=address)
    ask = partial(asked.archive.sessions, filters, deadline=asked.deadline)
    return await respond(request, asked, wanted, PeerSession, ask)
