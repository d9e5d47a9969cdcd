"""Pages for people: rendered here, without a build step and without a request to another host."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

from bgpledger import PeerStatus
from collector.http.asking import Asked
from collector.http.pages import api
from collector.http.pages.rendering import TEMPLATES

_STATIC = Path(__file__).parent / "static"

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def add_to(app: FastAPI) -> None:
    """Put the pages, and the files that they use, into an application."""
    app.include_router(router)
    app.include_router(api.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")


@router.get("/")
async def now(request: Request, asked: Asked) -> HTMLResponse:
    """How the peers stand."""
    async with asked.archive.peers(deadline=asked.deadline) as answers:
        peers: list[PeerStatus] = [peer async for peer in answers]
    return TEMPLATES.TemplateResponse(request, "now.html", {"peers": peers})
