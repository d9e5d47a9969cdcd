"""Replay: the AS paths to a prefix at a given time, and how they changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import HTMLResponse

from bgpledger import parse_filter, parse_time
from collector.http.graph.picture import Picture, draw
from collector.http.graph.story import Story, tell
from collector.http.pages.rendering import TEMPLATES, Shown, page_router, render
from collector.http.parameters import text
from collector.http.query_context import QueryContext, QueryContextDep
from schemas.json_object import JsonObject

router = page_router()


class ReplayOptions(Shown):
    """Which routes, over which time range, and the time that is shown."""

    peer: str | None = text("Only this peer's.")
    router: str | None = text("Only those of peers of this router.")
    rib: str | None = text("Only this table of a router's.")
    start: str | None = text("The begin.")
    end: str | None = text("The end.")
    at: str | None = text("The moment; without, the begin.")

    @property
    def whose(self) -> dict[str, str | None]:
        """The parameters that a link to another time keeps."""
        return self.model_dump(include={"peer", "router", "rib"})


Wanted = Annotated[ReplayOptions, Query()]


@router.get("/replay/{prefix:path}.svg")
async def picture(request: Request, prefix: str, context: QueryContextDep, wanted: Wanted) -> HTMLResponse:
    """The picture at one time, for saving, sharing and printing."""
    story, moment = await _story(context, prefix, wanted)
    shown = {"picture": draw(story, moment), "prefix": story.prefix, "moment": moment, "alone": True}
    return TEMPLATES.TemplateResponse(request, "replay.svg", shown, media_type="image/svg+xml")


@router.get("/replay/{prefix:path}")
async def replay(request: Request, prefix: str, context: QueryContextDep, wanted: Wanted) -> HTMLResponse:
    """The page."""
    story, moment = await _story(context, prefix, wanted)
    drawn = draw(story, moment)
    return render(
        request,
        "replay.html",
        story=story,
        events=story.events,
        prefix=story.prefix,
        moment=moment,
        picture=drawn,
        alone=False,
        moves=_moves(story, drawn),
        whose=wanted.whose,
        notes=[*dict.fromkeys((*context.notes, *story.notes))],
    )


async def _story(context: QueryContext, prefix: str, wanted: ReplayOptions) -> tuple[Story, datetime]:
    filters = parse_filter(wanted.model_dump(exclude={"at"}))
    story = await tell(context.archive, prefix, filters)
    at = parse_time(wanted.at)
    return story, min(max(at, story.start), story.end) if at else story.start


def _moves(story: Story, drawn: Picture) -> JsonObject:
    """The data for the script: times are milliseconds since 1970, paths are the numbers of lines."""
    speakers = {speaker: number for number, speaker in enumerate(drawn.speakers)}
    return {
        "start": _milliseconds(story.start),
        "end": _milliseconds(story.end),
        "initial": {speakers[speaker]: drawn.numbers[speaker, path] for speaker, path in story.initial.items()},
        "changes": [
            {
                "ts": _milliseconds(change.ts),
                "speaker": speakers.get(change.speaker),
                "line": drawn.numbers[change.speaker, change.path] if change.path is not None else None,
                "gap": change.event == "gap",
            }
            for change in story.changes
        ],
        "ways": [list(path) for _, path in story.paths],
    }


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
