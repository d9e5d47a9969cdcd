"""Now: how the peers stand, how the collector does, and what happened last."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from starlette.responses import HTMLResponse

from bgpledger import Answers, DeadlineError, HistoryEntry, PeerStatus, parse_filter
from collector.http.asking import Asked
from collector.http.pages.rendering import iso, page_router, render

router = page_router()

_SAID, _SESSIONS = 15, 8
_TICK = timedelta(milliseconds=1)
_PATIENCE = 3.0
"""Seconds that what was said last is looked for, and that UPDATEs are counted."""


@router.get("/")
async def now(request: Request, asked: Asked) -> HTMLResponse:
    """How all stands; the page asks for itself again every few seconds."""
    archive, counted = asked.archive, request.app.state.minutes
    async with archive.peers(deadline=asked.deadline) as answers:
        peers: list[PeerStatus] = [peer async for peer in answers]
    status = await archive.status()
    end = iso(status.archive_upto + _TICK) if status.archive_upto else None
    sessions = archive.search(parse_filter({"elem": "session", "end": end}), limit=_SESSIONS, deadline=_PATIENCE)
    said = archive.search(
        parse_filter({"elem": "announce,withdraw", "end": end}), limit=_SAID, complete=False, deadline=_PATIENCE
    )
    return render(
        request,
        "now.html",
        peers=peers,
        up=sum(peer.state == "up" for peer in peers),
        status=status,
        minutes=await counted.of(
            archive.telling(lambda _: None), [one.address for one in peers if one.updates], _PATIENCE
        )
        if status.state == "running"
        else {},
        sessions=await _newest_first(sessions),
        said=await _newest_first(said),
        patience=_PATIENCE,
        notes=asked.notes,
    )


async def _newest_first(answers: Answers[HistoryEntry]) -> list[HistoryEntry] | None:
    """The answers; None where they take too long for a page that is asked for every few seconds."""
    try:
        async with answers:
            return [entry async for entry in answers][::-1]
    except DeadlineError:
        return None
