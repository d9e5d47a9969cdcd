"""Now: how the peers stand, how the collector does, and what happened last."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse

from bgpledger import PeerStatus
from collector.http.asking import Asked
from collector.http.pages.rendering import page_router, render

router = page_router()


@router.get("/")
async def now(request: Request, asked: Asked) -> HTMLResponse:
    """How all stands; the page asks for itself again every few seconds."""
    async with asked.archive.peers(deadline=asked.deadline) as answers:
        peers: list[PeerStatus] = [peer async for peer in answers]
    status = await asked.archive.status()
    return render(request, "now.html", peers=peers, status=status, notes=asked.notes)
