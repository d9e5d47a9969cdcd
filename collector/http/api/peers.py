"""Peers: how each stands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bgpledger import Answers, PeerStatus
from collector.http.answering import Page, respond
from collector.http.asking import Asked
from collector.http.parameters import Listed

router = APIRouter(tags=["peers"])


@router.get("/peers", summary="The state of each peer, and since when", response_model=Page[PeerStatus])
async def peers(request: Request, asked: Asked, wanted: Annotated[Listed, Query()]) -> Response:
    """Each peer: its state and since when, its last keepalive, its updates and routes, and why it is not up."""

    def ask() -> Answers[Any]:
        return asked.archive.peers(deadline=asked.deadline)

    return await respond(request, asked, wanted, PeerStatus, ask)
