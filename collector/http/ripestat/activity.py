"""`bgp-update-activity`: the number of messages over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from bgpledger import parse_filter
from collector.http.query_context import QueryContextDep
from collector.http.ripestat.call import Call, Json, Spanned, TimeRange, answer, parse_resource, span_of
from collector.http.ripestat.timeline import prefixes_of, tell_of_gaps

router = APIRouter()

_DAY = timedelta(days=1)


class _Activity(Spanned):
    max_samples: int = Field(50, ge=1, le=10_000, description="The maximum number of parts of the time range.")
    min_sampling_period: float = Field(60, gt=0, description="The minimum length of a part, in seconds.")
    num_hours: float | None = Field(
        None, gt=0, le=24 * 366, description="The length of the time range, instead of a starttime."
    )
    hide_empty_samples: bool = Field(default=True, description="Leave out parts without messages.")


@router.get("/bgp-update-activity/data.json", summary="Announcements and withdrawals of a prefix or an AS, over time")
async def bgp_update_activity(context: QueryContextDep, wanted: Annotated[_Activity, Query()]) -> JSONResponse:
    """Announcements and withdrawals of a prefix or an AS in each part of a time range (by default the last day)."""

    async def work(call: Call) -> Json:
        resource = parse_resource(wanted.resource, call.notes.append)
        length = timedelta(hours=wanted.num_hours) if wanted.num_hours else _DAY
        span = span_of(wanted, length)
        seconds = (span.end - span.start).total_seconds()
        period = max(wanted.min_sampling_period, seconds / wanted.max_samples)
        prefixes = await prefixes_of(call, resource, span)
        await tell_of_gaps(call, span)
        counts = await _count(call, prefixes, span, period) if prefixes else {}
        samples = range(int(-(-seconds // period)))
        updates = [
            {
                "starttime": call.time(span.start + timedelta(seconds=number * period)),
                "announcements": counts.get(number, (0, 0))[0],
                "withdrawals": counts.get(number, (0, 0))[1],
            }
            for number in samples
            if number in counts or not wanted.hide_empty_samples
        ]
        return {
            "updates": updates,
            "sampling_period": float(period),
            "sampling_period_human": _spoken(period),
            "max_samples": wanted.max_samples,
            "related_prefixes": list(prefixes) if resource.asns else [],
            "resource": resource.text,
            "resource_type": "asn" if resource.asns else "prefix",
            "query_starttime": call.time(span.start),
            "query_endtime": call.time(span.end),
        }

    return await answer("bgp-update-activity", "1.5", context, wanted, work)


async def _count(call: Call, prefixes: tuple[str, ...], span: TimeRange, period: float) -> dict[int, tuple[int, int]]:
    """Announcements and withdrawals by the number of their part."""
    texts = {
        "prefix": ",".join(prefixes),
        "elem": "announce,withdraw",
        "start": span.start.isoformat(),
        "end": span.end.isoformat(),
    }
    found: dict[int, tuple[int, int]] = {}
    search = call.archive.search(parse_filter(texts), complete=False, deadline=call.deadline)
    for one in await call.all_of(search):
        if one.event in ("announce", "withdraw"):
            number = int((one.ts - span.start).total_seconds() // period)
            announced, withdrawn = found.get(number, (0, 0))
            more = one.event == "announce"
            found[number] = announced + more, withdrawn + (not more)
    return found


def _spoken(seconds: float) -> str:
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:g} seconds"
