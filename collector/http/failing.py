"""Error responses outside of the pages: problem documents for programs, a page for browsers."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from bgpledger import BgpledgerError
from collector.http.pages.rendering import TEMPLATES, failed
from collector.http.problems import RefusedRequestError, misused, respond, status_and_headers

log = logging.getLogger(__name__)


def refuse(error: BgpledgerError, headers: Headers) -> Response:
    """The response to a refused request: for a browser, a page that loads nothing else from us.

    Args:
        error: the reason.
        headers: the headers of the request.
    """
    if not _shows_pages(headers):
        return respond(error)
    status, more = status_and_headers(error)
    return HTMLResponse(TEMPLATES.env.get_template("refused.html").render(error=error, status=status), status, more)


def handle(app: FastAPI) -> None:
    """Install the error handlers of an application."""

    @app.exception_handler(BgpledgerError)
    async def _failed(_request: Request, error: BgpledgerError) -> JSONResponse:
        return respond(error)

    @app.exception_handler(RequestValidationError)
    async def _unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(misused(error, request))

    @app.exception_handler(HTTPException)
    async def _http_error(request: Request, error: HTTPException) -> Response:
        refusal = _refused(request, error)
        return failed(request, refusal) if _shows_pages(request.headers) else respond(refusal)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        log.error("a bug, of %s", request.url.path, exc_info=error)
        cause = "this is a bug of bgpledger"
        return respond(
            RefusedRequestError(HTTPStatus.INTERNAL_SERVER_ERROR, cause, "report it, with the collector's log")
        )


def _refused(request: Request, error: HTTPException) -> RefusedRequestError:
    status, path = HTTPStatus(error.status_code), request.url.path[:80]
    cure = "the API is described at /api/v1/docs"
    if status is HTTPStatus.NOT_FOUND:
        return RefusedRequestError(status, f"there is nothing at {path}", cure)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return RefusedRequestError(status, f"{path} can only be read, not {request.method}", "use GET", _headers(error))
    return RefusedRequestError(status, str(error.detail), cure, _headers(error))


def _headers(error: HTTPException) -> dict[str, str]:
    return dict(error.headers or {})


def _shows_pages(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")
