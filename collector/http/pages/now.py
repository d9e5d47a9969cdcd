"""Now: the state of the peers and of the collector, and what happened last."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from starlette.responses import HTMLResponse

from bgpledger import HistoryEntry, PeerStatus, parse_filter
from collector.http.pages.rendering import iso, page_router, render
from collector.http.query_context import QueryContext, QueryContextDep

router = page_router()

_ENTRIES, _SESSIONS = 15, 8
_TICK = timedelta(milliseconds=1)
_PATIENCE = 0.4
"""Seconds for finding the latest entries, and for counting UPDATEs."""


@router.get("/")
async def now(request: Request, context: QueryContextDep) -> HTMLResponse:
    """The current state; the page reloads itself every few seconds."""
    archive, counted = context.archive, request.app.state.minutes
    async with archive.peers(deadline=context.deadline) as answers:
        peers: list[PeerStatus] = [peer async for peer in answers]
    status = await archive.status()
    end = iso(status.archive_upto + _TICK) if status.archive_upto else None
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
        sessions=await _newest_first(context, "session", end, _SESSIONS),
        newest=await _newest_first(context, "announce,withdraw", end, _ENTRIES),
        notes=context.notes,
    )


async def _newest_first(context: QueryContext, elem: str, end: str | None, limit: int) -> list[HistoryEntry]:
    """The latest entries, as many as are found at once."""
    filters = parse_filter({"elem": elem, "end": end})
    quiet = context.archive.telling(lambda _: None)  # it is requested again and again
    async with quiet.search(
        filters, limit=limit, complete=False, patience=_PATIENCE, deadline=context.deadline
    ) as answers:
        return [entry async for entry in answers][::-1]
