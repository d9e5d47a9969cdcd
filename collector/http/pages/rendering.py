"""Templates, what all pages share, and error pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates
from jinja2 import StrictUndefined
from pydantic import model_validator
from starlette.responses import HTMLResponse, Response

from bgpledger import BgpledgerError
from collector.http.parameters import Parameters
from collector.http.problems import misused, status_and_headers
from collector.query.communities import communities_of

HERE = Path(__file__).parent
NAVIGATION = (
    ("/", "Now"),
    ("/prefix", "Prefix"),
    ("/lookup", "Looking glass"),
    ("/replay", "Replay"),
    ("/updates", "Updates"),
    ("/compare", "Compare"),
    ("/live", "Live"),
    ("/announcements", "Announcements"),
    ("/api/v1/docs", "API"),
)
"""The navigation above each page: the URL and label of each link."""
TEMPLATES = Jinja2Templates(directory=HERE / "templates")

_SAFE_IN_PATHS = "/:"
_SECONDS_OF = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class Shown(Parameters):
    """The parameters of a page; an empty form field counts as absent."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if not (isinstance(value, str) and not value.strip())}


class _PageRoute(APIRoute):
    """Also answers errors with a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that answers a request."""
        answer = super().get_route_handler()

        async def answer_with_a_page(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return failed(request, misused(error, request))
            except BgpledgerError as error:
                return failed(request, error)

        return answer_with_a_page


def page_router() -> APIRouter:
    """A router for pages: they are not part of the API's description, and their errors are pages."""
    return APIRouter(include_in_schema=False, default_response_class=HTMLResponse, route_class=_PageRoute)


def render(request: Request, template: str, /, http: int = 200, **shown: Any) -> HTMLResponse:
    """Render a page.

    Args:
        request: the request.
        template: the template's file name.
        http: the HTTP status.
        shown: the template's variables.
    """
    context = {"shared": request.app.state.shared, **shown}
    return TEMPLATES.TemplateResponse(request, template, context, status_code=http)


def link(path: str, /, **parameters: object) -> str:
    """A link to one of our pages, with the parameters that are not None."""
    given = {name: _written(value) for name, value in parameters.items() if value is not None}
    return quote(path, safe=_SAFE_IN_PATHS) + (f"?{urlencode(given)}" if given else "")


def iso(moment: datetime) -> str:
    """A time in a link, or for programs: RFC 3339 in UTC, as short as possible."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def _written(value: object) -> str:
    return iso(value) if isinstance(value, datetime) else str(value)


def failed(request: Request, error: BgpledgerError) -> HTMLResponse:
    """The page for an error."""
    status, headers = status_and_headers(error)
    page = render(request, "failed.html", http=status, error=error)
    page.headers.update(headers)
    return page


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def _number(value: int) -> str:
    """With thin spaces between thousands (ISO 80000-1)."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _lasting(span: timedelta | float) -> str:
    """A duration, in its two largest units."""
    left = round(span.total_seconds() if isinstance(span, timedelta) else span)
    parts: list[str] = []
    for name, seconds in _SECONDS_OF:
        count, left = divmod(left, seconds)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def _as_path(path: str | None) -> Sequence[tuple[str, str]]:
    """AS numbers, each with the text up to the next; the first may be empty."""
    return re.findall(r"(\d*)(\D*)", path or "")


def _shortened(clock: str) -> str:
    """A time of day without insignificant zeros."""
    return clock.removesuffix(".000").removesuffix(":00")


def _later(moment: datetime) -> datetime:
    """The end of the shortest range that contains a time."""
    return moment + timedelta(milliseconds=1)


def _sooner(moment: datetime) -> datetime:
    return moment - timedelta(seconds=1)


def _plain(value: object) -> str:
    """A value in a document: texts unchanged, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_TIMES = ("start", "end", "duration")


def _with_start(given: Mapping[str, Any], start: datetime | None) -> Mapping[str, Any]:
    """The parameters, with another start time."""
    return given if start is None else {**given, "start": start}


def _without_times(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in given.items() if name not in _TIMES}


TEMPLATES.env.undefined = StrictUndefined
TEMPLATES.env.trim_blocks = TEMPLATES.env.lstrip_blocks = True
TEMPLATES.env.globals |= {"navigation": NAVIGATION, "link": link}
TEMPLATES.env.filters |= {
    "as_path": _as_path,
    "clock": _clock,
    "communities_of": communities_of,
    "day": _day,
    "iso": iso,
    "lasting": _lasting,
    "later": _later,
    "number": _number,
    "plain": _plain,
    "shortened": _shortened,
    "sooner": _sooner,
    "unix": datetime.timestamp,
    "with_start": _with_start,
    "without_times": _without_times,
}
