"""Prefix: what all peers said about one, as a time line and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import PrefixTimeline, parse_filter, parse_prefix, parse_time
from collector.http.pages.lanes import Drawing, Event, draw
from collector.http.pages.ours import our_lanes, times_of
from collector.http.pages.rendering import Shown, link, page_router, render
from collector.http.parameters import TIME, text
from collector.http.query_context import QueryContextDep

router = page_router()

_ROWS = 100
_SECONDS = 0.6
"""How long may be read for one page."""
_MARGIN = 0.02
"""The margin before the first event and after the last, as a fraction of the time between."""
_SHORTEST_MARGIN = timedelta(milliseconds=500)


class _Wanted(Shown):
    start: str | None = text(TIME)
    end: str | None = text(TIME)
    peer: str | None = text("Only of this peer.")
    until: str | None = text("Draws what was before this time, where the range holds too much to be read at once.")
    event: str | None = text("The time of the event whose document is shown.")
    of: str | None = text("The peer of that event.")


@router.get("/prefix/{prefix:path}")
async def prefix(
    request: Request, context: QueryContextDep, prefix: str, wanted: Annotated[_Wanted, Query()]
) -> HTMLResponse:
    """The time line of a prefix."""
    name = parse_prefix(prefix, say=context.notes.append)
    filters = parse_filter({"start": wanted.start, "end": wanted.end, "peer": wanted.peer}, say=context.notes.append)
    found = await context.archive.timeline(name, filters, until=wanted.until, seconds=_SECONDS)
    whole = found
    async with context.archive.intents(name, ended=True, deadline=context.deadline) as answers:
        intents = [intent async for intent in answers]
    if wanted.start is None:
        found = _narrowed(found, times_of(intents), keep_end=wanted.end is not None)
    drawing = draw(found, is_part=wanted.until is not None)
    here = f"/prefix/{name}"
    kept: dict[str, Any] = {"start": found.start, "end": found.end, "peer": wanted.peer}
    return render(
        request,
        "prefix.html",
        prefix=name,
        wanted=wanted,
        found=found,
        whole=whole,
        drawing=drawing,
        ours=[] if wanted.peer else our_lanes(intents, drawing.scale),
        rows=_newest(drawing),
        most_rows=_ROWS,
        chosen=_chosen(drawing, wanted),
        kept=kept,
        steps=_steps(here, found, wanted.peer),
        notes=context.notes,
    )


def _narrowed(found: PrefixTimeline, ours: Sequence[datetime], *, keep_end: bool) -> PrefixTimeline:
    """The time range around the events, and around our own announcements, instead of the archive's whole range."""
    times = [*(entry.ts for entry in found.entries), *(ts for ts in ours if found.since <= ts < found.until)]
    if not times:
        return found
    first, last = min(times), max(times)
    margin = max((last - first) * _MARGIN, _SHORTEST_MARGIN)
    start = first - margin if found.since == found.start else found.since
    if keep_end:
        return replace(found, start=start, since=start)
    end = last + margin
    # current routes continue, but need not be drawn that far
    if any(session.until is None for session in found.sessions):
        end = min(max(end, last + (last - first) / 4), found.end)
    return replace(found, start=start, since=start, end=end, until=end)


def _newest(drawing: Drawing) -> list[Event]:
    events = (event for lane in drawing.lanes for event in lane.events)
    return nlargest(_ROWS, events, key=lambda event: event.entry.ts)


def _chosen(drawing: Drawing, wanted: _Wanted) -> Event | None:
    """The event whose document is shown."""
    moment = parse_time(wanted.event)
    if moment is None:
        return None
    events = (event for lane in drawing.lanes for event in lane.events)
    return next((one for one in events if one.entry.ts == moment and wanted.of in (None, one.entry.peer.name)), None)


def _steps(here: str, found: PrefixTimeline, peer: str | None) -> list[tuple[str, str, str]]:
    """The links for moving along the line: the label, key and URL of each."""
    span = found.end - found.start

    def to(start: datetime, end: datetime) -> str:
        return link(here, start=start, end=end, peer=peer)

    return [
        ("Earlier", "←", to(found.start - span / 2, found.end - span / 2)),
        ("Later", "→", to(found.start + span / 2, found.end + span / 2)),
        ("Closer", "+", to(found.start + span / 4, found.end - span / 4)),
        ("Wider", "-", to(found.start - span / 2, found.end + span / 2)),
        ("All events", "0", link(here, peer=peer)),
    ]
