"""Errors as `application/problem+json` (RFC 9457), with cause and cure."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from bgpledger import BgpledgerError, DeadlineError, StoreError, UsageError
from collector.errors import RefusedError as OrderRefusedError
from schemas.faults import FieldFault, words_of
from schemas.json_object import JsonObject

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "'203.0.113.0/33' is not a prefix: its length is not 0 to 32",
                "cure": "write ADDRESS/LENGTH, such as 203.0.113.0/24 or 2001:db8::/32",
            }
        }
    )

    type: str = Field("about:blank", description="Always `about:blank`: the status says it all (RFC 9457 4.2.1).")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, and to what.")
    cure: str = Field(description="What to do about it; empty where nothing can be done.")


class RefusedRequestError(BgpledgerError):
    """A request that is refused before anything is queried.

    Args:
        status: the HTTP status.
        cause: see `BgpledgerError`.
        cure: see `BgpledgerError`.
        headers: headers of the response.
    """

    def __init__(self, status: HTTPStatus, cause: str, cure: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(cause, cure)
        self.status = status
        self.headers = headers or {}


_TIMEOUT, _AWAY = HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE
RESPONSES: dict[int | str, JsonObject] = {
    status.value: {
        "description": about,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, about in (
        (HTTPStatus.BAD_REQUEST, "The question cannot be meant."),
        (HTTPStatus.UNAUTHORIZED, "A token is asked for."),
        (HTTPStatus.NOT_FOUND, "There is nothing at this path."),
        (HTTPStatus.TOO_MANY_REQUESTS, "Too many questions of one client in a short time."),
        (_AWAY, "The store does not answer."),
        (_TIMEOUT, "The question was not answered in its time."),
    )
}
"""The error responses of every query."""


def respond(error: BgpledgerError) -> JSONResponse:
    """The response for an error."""
    status, headers = status_and_headers(error)
    problem = Problem(title=status.phrase, status=status, detail=error.cause, cure=error.cure)
    return JSONResponse(problem.model_dump(), status, headers, media_type=MEDIA_TYPE)


def status_and_headers(error: BgpledgerError) -> tuple[HTTPStatus, dict[str, str]]:
    """The HTTP status and headers of an error."""
    if isinstance(error, RefusedRequestError):
        return error.status, error.headers
    if isinstance(error, OrderRefusedError):
        return HTTPStatus.UNPROCESSABLE_ENTITY, {}
    if isinstance(error, UsageError):
        return HTTPStatus.BAD_REQUEST, {}
    if isinstance(error, DeadlineError):
        return _TIMEOUT, {}
    if isinstance(error, StoreError):
        return _AWAY, {"Retry-After": "5"}
    return HTTPStatus.INTERNAL_SERVER_ERROR, {}


def misused(error: RequestValidationError, request: Request) -> UsageError:
    """The first fault in a request's parameters, in our words."""
    fault = error.errors()[0]
    name = str(fault["loc"][-1])
    if fault["type"] == "extra_forbidden":
        meant = FieldFault((name,), "", tuple(_parameters(request)))
        return UsageError(f"there is no parameter {name[:80]!r} here", meant.cure or "leave it out")
    if fault["type"] == "missing":
        return UsageError(f"the parameter {name} is missing", "see /api/v1/docs")
    return UsageError(FieldFault((name,), words_of(fault), ()).at(name), "see /api/v1/docs")


def _parameters(request: Request) -> Iterator[str]:
    """The names of the parameters that a request's route has."""
    for field in request.scope["route"].dependant.query_params:
        kind = field.field_info.annotation
        yield from kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else (field.alias,)
