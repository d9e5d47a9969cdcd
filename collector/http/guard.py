"""Who may ask: the host that is asked for has to be ours, which keeps out the pages of others (DNS rebinding)."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from collector.http.problems import RefusedError, respond
from collector.settings import HttpSettings

_MOST_OF_A_BODY = 64 * 1024


class Guard:
    """Lets nothing through to the application that may not ask."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._hosts = frozenset(("localhost", *settings.hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(HTTPConnection(scope))
        except RefusedError as error:
            await _refuse(respond(error), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, asking: HTTPConnection) -> None:
        self._check_host(asking.headers)
        self._check_origin(asking)
        _check_size(asking.headers)

    def _check_host(self, headers: Headers) -> None:
        host = _name_in(headers.get("host", ""))
        if not (host in self._hosts or _is_address(host)):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"nothing here is called {host[:80]!r}",
                'ask by an address or by localhost, or name it in the configuration: [http] hosts = ["NAME"]',
            )

    def _check_origin(self, asking: HTTPConnection) -> None:
        """Refuse sockets of other sites' pages, which browsers let through."""
        origin = asking.headers.get("origin")
        if asking.scope["type"] == "websocket" and origin and origin.partition("://")[2] != asking.headers.get("host"):
            raise RefusedError(
                HTTPStatus.FORBIDDEN, f"a page of {origin[:80]!r} may not ask here", "open our own pages"
            )


def _name_in(host: str) -> str:
    """The name or the address in a Host header, without its port, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_size(headers: Headers) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _MOST_OF_A_BODY or "transfer-encoding" in headers:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a question has no body", "ask by parameters")


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
