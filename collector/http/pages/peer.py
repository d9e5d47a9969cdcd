"""A peer: its sessions, and how much it said over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Annotated, NamedTuple

from fastapi import Query, Request
from markupsafe import Markup
from pydantic import Field
from starlette.responses import HTMLResponse

from bgpledger import ActivitySample, DeadlineError, Filter, PeerSession, TopEntry, UsageError, parse_filter
from collector.http.charts import bars, steps
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import text
from collector.http.query_context import QueryContext, QueryContextDep

router = page_router()

_TOP, _SESSIONS = 10, 200
_FEW = 3000
"""UPDATEs, which are counted however long that takes."""
_SHORTEST, _LONGER = timedelta(seconds=20), 4
"""If there are more, only the end of the time range is counted, extended by this factor while counting is fast."""
_QUICK, _PATIENCE = 0.15, 1.0
"""Seconds: after the first, no longer range is tried; not every server stops counting at the second."""
_DAY = timedelta(days=1)
_TICK = timedelta(milliseconds=1)


class PeerOptions(Shown):
    """Which of the tables that routers have of it, and the time range."""

    router: str | None = text("Only what this router has of it.")
    rib: str | None = text("Only this table of a router's.")
    start: str | None = text("The begin.")
    end: str | None = text("The end.")
    whole: bool = Field(default=False, description="Count the whole time, however long that takes.")

    @property
    def whose(self) -> dict[str, str | None]:
        """The parameters that links to the same peer's other pages keep."""
        return self.model_dump(include={"router", "rib"})


class CountedUpdates(NamedTuple):
    """The number of a peer's messages, in a time range or its end."""

    span: Filter
    activity: Sequence[ActivitySample]
    top: Sequence[TopEntry]


@router.get("/peer/{address}")
async def peer(
    request: Request, address: str, context: QueryContextDep, wanted: Annotated[PeerOptions, Query()]
) -> HTMLResponse:
    """The page."""
    filters = parse_filter({"peer": address, **wanted.model_dump(exclude={"whole"})})
    if filters.only_peer is None:
        raise UsageError(f"{address!r} is not the address of one peer", "give one, such as 192.0.2.1")
    archive, deadline = context.archive, context.deadline
    async with archive.sessions(filters.of_peers_alone, deadline=deadline) as answers:
        sessions = [session async for session in answers]
    context.notes.clear()  # it is shown again for the time range
    start, end = _span(filters, sessions)
    span = replace(filters, start=start, end=end)
    is_little = wanted.whole or sum(session.updates for session in sessions if _meets(session, span)) < _FEW
    async with archive.peers(filters.only_peer, deadline=deadline) as peers:
        states = [one async for one in peers]
    gaps = await _gaps(context, span)
    # Last, because a server may continue a query that took too long, and delay later ones.
    counted = await _count(context, span, deadline) if is_little else await _count_in_time(context, span)
    return render(
        request,
        "peer.html",
        address=filters.only_peer,
        states=states,
        sessions=[one for one in reversed(sessions) if _meets(one, span)],
        most_sessions=_SESSIONS,
        span=span,
        upto=filters.end,
        whose=wanted.whose,
        counted=counted,
        charts=_charts(counted.activity) if counted else {},
        gaps=gaps,
        notes=context.notes,
    )


def _span(filters: Filter, sessions: Sequence[PeerSession]) -> tuple[datetime, datetime]:
    """The time range: the one requested, or else the last day with messages."""
    last = max((session.last_message for session in sessions), default=datetime.now(UTC)) + _TICK
    first = min((session.since for session in sessions), default=last - _DAY)
    end = filters.end or last
    return filters.start or max(first, end - _DAY), end


def _meets(session: PeerSession, span: Filter) -> bool:
    begun = span.end is None or session.since < span.end
    return begun and (session.until is None or span.start is None or session.until >= span.start)


async def _count(context: QueryContext, span: Filter, seconds: float) -> CountedUpdates:
    """The counts in a time range.

    Raises:
        DeadlineError: there is too much to count.
    """
    over = monotonic() + seconds
    async with context.archive.activity(span, deadline=seconds) as samples:
        activity = [sample async for sample in samples]
    left = over - monotonic()
    async with context.archive.top("prefixes", "announcements", span, limit=_TOP, deadline=left) as most:
        return CountedUpdates(span, activity, [entry async for entry in most])


async def _count_in_time(context: QueryContext, span: Filter) -> CountedUpdates | None:
    """The counts in a time range, or in its end; None if even that is too much for a page."""
    if span.end is None or span.start is None:
        return None
    counted, length = None, _SHORTEST
    while counted is None or counted.span.start != span.start:
        began = monotonic()
        try:
            counted = await _count(context, replace(span, start=max(span.start, span.end - length)), _PATIENCE)
        except DeadlineError:
            break
        if monotonic() - began > _QUICK:
            break
        length *= _LONGER
    return counted


async def _gaps(context: QueryContext, span: Filter) -> int:
    async with context.archive.gaps(span, deadline=context.deadline) as gaps:
        return sum([1 async for _ in gaps])


def _charts(activity: Sequence[ActivitySample]) -> dict[str, Markup]:
    """A chart for each kind of count, by its caption."""
    times = [sample.start for sample in activity]
    if not any(sample.updates for sample in activity):
        return {}
    charts = {
        "routes": bars(
            times,
            {"announced": [one.announcements for one in activity], "withdrawn": [one.withdrawals for one in activity]},
        ),
        "UPDATEs": bars(times, {"UPDATEs": [one.updates for one in activity]}),
        "Bytes stored": bars(times, {"bytes": [one.bytes for one in activity]}),
    }
    if any(one.routes is not None for one in activity):
        charts["Routes that stood, where a table was stored"] = steps(
            times, {"routes": [one.routes for one in activity]}
        )
    return charts
