"""`/metrics`: the collector, its peers and the HTTP requests, for Prometheus."""

from __future__ import annotations

from time import monotonic

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bgpledger import StoreError
from collector.http.query_context import QueryContextDep
from collector.present.prometheus import metrics_of, metrics_of_peers, text

_REQUESTS, _SECONDS = "bgpledger_http_requests_total", "bgpledger_http_request_seconds"
HTTP_METRICS = (_REQUESTS, f"{_SECONDS}_count", f"{_SECONDS}_sum", f"{_SECONDS}_bucket")
"""The metrics of HTTP requests."""
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

disable_created_metrics()  # type: ignore[no-untyped-call]
router = APIRouter(tags=["health"])


class Measured:
    """Counts an application's responses, and their duration, by kind of request: never by prefix."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(_REQUESTS, "Requests that were answered.", ("path", "status"), registry=registry)
        self._seconds = Histogram(
            _SECONDS, "How long an answer took, to its last byte.", ("path",), registry=registry, buckets=_BUCKETS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            path = _kind(scope)
            self._requests.labels(path, status).inc()
            self._seconds.labels(path).observe(monotonic() - began)


def _kind(scope: Scope) -> str:
    """The path of a request, with parameter names in place of their values; `other` for unknown paths."""
    if "endpoint" not in scope:
        return "other"
    path: str = scope["path"]
    given = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    for name, value in given.items():
        if value and value in path:
            head, _, tail = path.rpartition(value)
            path = f"{head}{{{name}}}{tail}"
    return path


@router.get("/metrics", summary="For Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request, context: QueryContextDep) -> PlainTextResponse:
    """The collector, each of its peers, and the HTTP requests, in Prometheus' text format."""
    status = await context.archive.status()
    try:
        async with context.archive.peers(deadline=context.deadline) as answers:
            peers = [peer async for peer in answers]
    except StoreError:  # shown in the status
        peers = []
    of_peers = metrics_of_peers(peers) if peers else ()
    own: CollectorRegistry = request.app.state.registry
    return PlainTextResponse(text(metrics_of(status), of_peers, own.collect()), media_type=_CONTENT_TYPE)
