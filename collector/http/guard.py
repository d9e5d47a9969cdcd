"""Who may ask: nothing reaches the application that is not for it.

The host that is asked for has to be ours, which keeps out the pages of others (DNS rebinding); sockets of pages have
to come from ours; a client may only ask so often; and where it is told, or this machine is not alone, takes a token.
"""

from __future__ import annotations

import base64
import binascii
import math
from http import HTTPStatus
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from bgpledger import BgpledgerError
from collector.http.health import OPEN_PATHS
from collector.http.problems import RefusedError, respond
from collector.http.rates import Rates
from collector.http.tokens import Keyring
from collector.settings import Settings

_MOST_OF_A_BODY = 64 * 1024
_REALM = 'realm="bgpledger"'


class Guard:
    """Lets nothing through to the application that may not ask."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._http = settings.http
        self._hosts = frozenset(("localhost", *settings.http.hosts))
        self._rates = Rates(settings.http.rate)
        self._keyring = Keyring(settings.data_dir)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(HTTPConnection(scope))
        except BgpledgerError as error:
            await _refuse(respond(error), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, asking: HTTPConnection) -> None:
        self._check_rate(asking)
        self._check_host(asking.headers)
        self._check_origin(asking)
        _check_size(asking.headers)
        if self._http.asks_for_tokens and asking.url.path not in OPEN_PATHS:
            self._check_token(asking.headers)

    def _check_rate(self, asking: HTTPConnection) -> None:
        if wait := self._rates.take(asking.client.host if asking.client else ""):
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._http.rate:g} requests a second come from here",
                "ask less often; one question for many answers (jsonl, page) is cheaper than many",
                {"Retry-After": str(math.ceil(wait))},
            )

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
        if asking.scope["type"] != "websocket" or not origin or origin in self._http.origins:
            return
        if origin.partition("://")[2] != asking.headers.get("host"):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"a page of {origin[:80]!r} may not ask here",
                "open our own pages, or name it in the configuration: [http] origins",
            )

    def _check_token(self, headers: Headers) -> None:
        shown = _token_in(headers.get("authorization", ""))
        if shown and self._keyring.find(shown):
            return
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "the token is not one of ours" if shown else "a token is asked for here",
            "bgpledger token add --name NAME makes one, on the collector's machine; send Authorization: Bearer TOKEN",
            {"WWW-Authenticate": f"Bearer {_REALM}, Basic {_REALM}"},
        )


def _token_in(authorization: str) -> str | None:
    """The token of an Authorization header: as such, or as the password that a browser asks for."""
    scheme, _, said = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return said.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(said, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


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
