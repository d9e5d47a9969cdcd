"""Decides who may query: refused requests never reach the application.

The requested host must be ours, which keeps out other sites' pages (DNS rebinding). Sockets of pages, and requests that
change something, must come from our own pages. Clients are limited in their rate. If tokens are configured, or others
can use this machine, a token is required; browsers without one are redirected to the sign-in page.
"""

from __future__ import annotations

import base64
import math
import re
import secrets
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from bgpledger import BgpledgerError
from collector import local_server
from collector.http.failing import refuse
from collector.http.health import OPEN_PATHS
from collector.http.orders import Orders
from collector.http.problems import RefusedRequestError, respond
from collector.http.rates import Rates
from collector.http.sign_ins import COOKIE, SIGN_IN, SignIns
from collector.http.tokens import Keyring
from collector.settings.model import Settings
from collector.settings.values import is_loopback

_OPEN_PATHS = (*OPEN_PATHS, SIGN_IN)
_OPEN_FOLDER = "/static/"
_READING = ("GET", "HEAD", "OPTIONS")
_MOST_OF_A_BODY, _MOST_OF_AN_ORDER = 64 * 1024, 4 * 2**20
_ORDERS = "/api/v1/announcements"
_REALM = 'realm="bgpledger"'
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]{1,5})?", re.ASCII)
"""RFC 9110 7.2, RFC 3986 3.2.2."""


class Guard:
    """Passes only permitted requests on to the application.

    These get `state.token`, the token that was sent, or None, and `state.is_signed_in`, whether it came by a sign-in.

    Args:
        app: the application.
        settings: who may query.
        keyring: the tokens.
        sign_ins: the browsers that have signed in.
        orders: records orders without a token.
        local_token: the token of commands of this user; None: none are answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        keyring: Keyring,
        sign_ins: SignIns,
        orders: Orders,
        local_token: str | None = None,
    ) -> None:
        self._app = app
        self._orders = orders
        self._local_token = local_token
        self._http = settings.http
        self._hosts = frozenset(("localhost", *settings.http.hosts))
        self._rates = Rates(settings.http.rate)
        self._keyring = keyring
        self._sign_ins = sign_ins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            self._check(connection)
        except BgpledgerError as error:
            if isinstance(error, RefusedRequestError) and _is_order(connection):
                await self._orders.note_stranger(connection, error)
            await _refuse(_response(error, connection), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, connection: HTTPConnection) -> None:
        self._check_rate(connection)
        self._check_host(connection.headers)
        self._check_origin(connection)
        _check_change(connection)
        path = connection.scope["path"]
        _check_size(connection.headers, _MOST_OF_AN_ORDER if path == _ORDERS else _MOST_OF_A_BODY)
        if path == local_server.PATH:
            self._check_local(connection)
        else:
            self._check_token(connection)

    def _check_rate(self, connection: HTTPConnection) -> None:
        if wait := self._rates.take(connection.client.host if connection.client else ""):
            raise RefusedRequestError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._http.rate:g} requests a second come from here",
                "ask less often; one query with many answers (jsonl, page) is cheaper than many queries",
                {"Retry-After": str(math.ceil(wait))},
            )

    def _check_host(self, headers: Headers) -> None:
        given = headers.get("host", "")
        host = _name_in(given)
        if not (host in self._hosts or _is_address(host)):
            raise RefusedRequestError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"nothing here is called {given[:80]!r}",
                'use an address or localhost, or name it in the configuration: [http] hosts = ["NAME"]',
            )

    def _check_origin(self, connection: HTTPConnection) -> None:
        """Refuse sockets of other sites' pages, which browsers allow."""
        origin = connection.headers.get("origin")
        if connection.scope["type"] != "websocket" or not origin or origin in self._http.origins:
            return
        if origin.partition("://")[2] != connection.headers.get("host"):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"a page of {origin[:80]!r} may not ask here",
                "open our own pages, or name it in the configuration: [http] origins",
            )

    def _check_local(self, connection: HTTPConnection) -> None:
        """Refuse clients that are not on this machine, or cannot read our user's files."""
        shown = _token_in(connection.headers.get("authorization", "")) or ""
        here = (
            connection.client is not None
            and _is_address(connection.client.host)
            and is_loopback(connection.client.host)
        )
        if not (self._local_token and here and secrets.compare_digest(shown.encode(), self._local_token.encode())):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN, "only commands of the collector's user may ask here", "run bgpledger"
            )

    def _check_token(self, connection: HTTPConnection) -> None:
        shown = _token_in(connection.headers.get("authorization", ""))
        key = connection.cookies.get(COOKIE)
        token = self._keyring.find(shown) if shown else self._sign_ins.find(key) if key else None
        connection.state.token = token
        connection.state.is_signed_in = token is not None and not shown
        if token or not self._http.asks_for_tokens or _is_open(connection.scope["path"]):
            return
        raise RefusedRequestError(
            HTTPStatus.UNAUTHORIZED,
            "the token is not known here" if shown else "a token is required here",
            "bgpledger token add --name NAME makes one, on the collector's machine; send Authorization: Bearer TOKEN,"
            f" or sign in at {SIGN_IN}",
            {"WWW-Authenticate": f"Bearer {_REALM}, Basic {_REALM}"},
        )


def _is_order(connection: HTTPConnection) -> bool:
    path = connection.scope["path"]
    return path.startswith(_ORDERS) and connection.scope.get("method", "GET") not in _READING


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _check_change(connection: HTTPConnection) -> None:
    """Refuse requests that another site's page makes a browser send on behalf of a signed-in user (CSRF).

    Browsers name the origin of such a request in Sec-Fetch-Site, older ones in Origin; programs send a token.
    """
    if connection.scope["type"] != "http" or connection.scope["method"] in _READING:
        return
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    if site:
        is_ours = site == "same-origin"
    elif origin:
        is_ours = origin.partition("://")[2] == connection.headers.get("host")
    else:
        is_ours = COOKIE not in connection.cookies
    if not is_ours:
        cause = f"a page of {origin[:80]!r} may change nothing here" if origin else "a page of another site asks"
        raise RefusedRequestError(HTTPStatus.FORBIDDEN, cause, "use our own pages, or a program that shows a token")


def _token_in(authorization: str) -> str | None:
    """The token in an Authorization header: a bearer token, or the password that a browser asks for."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
        except ValueError:
            return None
    return None


def _name_in(host: str) -> str:
    """The name or address in a Host header, without its port, in lower case; empty if it is invalid."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_size(headers: Headers, most: int) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most or "transfer-encoding" in headers:
        cause = f"what is sent here has {most} bytes at most, and says how many"
        raise RefusedRequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, cause, "send less; queries are made by parameters"
        )


def _response(error: BgpledgerError, connection: HTTPConnection) -> Response:
    """The response for an error; requests for pages without a token are redirected to the sign-in page."""
    is_for_a_page = connection.scope["type"] == "http" and "text/html" in connection.headers.get("accept", "")
    if isinstance(error, RefusedRequestError) and error.status is HTTPStatus.UNAUTHORIZED and is_for_a_page:
        url = connection.url
        there = f"{url.path}?{url.query}" if url.query else url.path
        return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': there})}", HTTPStatus.SEE_OTHER)
    return respond(error) if connection.scope["type"] == "websocket" else refuse(error, connection.headers)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
