"""Orders over HTTP, passed to the acting process if the token allows them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import HTTPConnection

from collector.acting.client import ActingClient
from collector.errors import CollectorError
from collector.errors import RefusedError as OrderRefusedError
from collector.http.problems import RefusedRequestError
from collector.http.rates import Rates
from schemas.announcements import Announcement, FlowAnnouncement, RouteAnnouncement
from schemas.faults import fault_of, spelled
from schemas.intents import MOST_ROUTES, Intent, Order, Withdrawal
from schemas.order_answers import CheckedRoute, OrderedIntent
from schemas.prefix_ranges import parse_range
from schemas.scalars import Address, Timestamp
from schemas.status import Token

_SOURCE = "api"
_STRANGERS_A_SECOND = 1.0
"""How many refusals a second are recorded for an address without a token, so that nobody can fill our disk."""
_CURE = "see /api/v1/docs, and docs/acting.md for what an order may say"


class OrderBody(BaseModel):
    """Routes to announce to some peers: all of them or none."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "announcements": [{"prefix": "203.0.113.7/32", "communities": ["blackhole", "no-export"]}],
                "why": "ticket 4711: flood",
                "expires": "2027-01-01T00:00:00Z",
            }
        },
    )

    announcements: tuple[Announcement, ...] = Field(
        min_length=1, max_length=MOST_ROUTES, description="Routes; with `match` and `then` flow specifications."
    )
    why: str = Field(max_length=500, description="The reason, for those who read it later.")
    peers: tuple[Address, ...] = Field((), description="Addresses of peers; by default, without a group, all.")
    group: str | None = Field(None, max_length=100, description="To the peers of this group.")
    expires: Timestamp | None = Field(None, description="When it expires, and is withdrawn.")
    dry_run: bool = Field(default=False, description="Only check it, and answer what would be done.")

    def order(self, who: str, key: str | None) -> Order:
        """The order for the acting process.

        Raises:
            ValidationError: it is invalid.
        """
        body = self.model_dump(exclude={"dry_run"}, exclude_unset=True)
        return Order.model_validate({**body, "who": who, "source": _SOURCE, "key": _own_key(who, key)})


def _own_key(who: str, key: str | None) -> str | None:
    """Idempotency keys are separate for each token."""
    return None if key is None else f"{sha256(who.encode()).hexdigest()[:12]}-{key}"


class Orders:
    """Passes orders on.

    Every method raises `RefusedRequestError` if a token does not allow the order, or no acting process runs, and
    `collector.errors.RefusedError` if the acting process refuses it.

    Args:
        data_dir: the collector's data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self._client = ActingClient(data_dir)
        self._rates: dict[str, Rates] = {}
        self._strangers = Rates(_STRANGERS_A_SECOND)

    async def announce(self, token: Token, body: OrderBody, key: str | None = None) -> Sequence[OrderedIntent]:
        """Announce something: returns the intent if there is one, otherwise the ids."""
        order = await self.checked(token, body, key)
        self._check_rate(token)
        async with self._audited(order):
            _check_allowed(token, order.announcements)
            await self._check_limit(token, len(order.announcements))
            return await self._client.announce(order)

    async def would(self, token: Token, body: OrderBody) -> Sequence[CheckedRoute]:
        """What an order would result in: see `ActingClient.would`."""
        order = await self.checked(token, body, None)
        async with self._audited(order):
            _check_allowed(token, order.announcements)
            return await self._client.would(order)

    async def withdraw(self, token: Token, name: str, why: str) -> Intent:
        """Withdraw one intent."""
        intent = await self.find(name)
        if intent is None or intent.is_over:
            raise RefusedRequestError(
                HTTPStatus.NOT_FOUND, f"we do not announce {name[:80]}", "see /api/v1/announcements"
            )
        try:
            withdrawal = Withdrawal(who=token.name, why=why, source=_SOURCE, ids=(name,))
        except ValidationError as error:
            raise unreadable(error, Withdrawal) from None
        self._check_rate(token)
        async with self._audited(withdrawal):
            _check_allowed(token, (intent.announcement,))
            (gone,) = await self._client.withdraw(withdrawal)
            return gone

    async def find(self, name: str) -> Intent | None:
        """An intent that is current, or ended within the last day."""
        return next((one for one in await self.recent_intents() if one.id == name), None)

    async def recent_intents(self) -> Sequence[Intent]:
        """All intents that are current, or ended within the last day; empty if no acting process runs."""
        try:
            return await self._client.intents(ended=True)
        except CollectorError:
            return ()

    async def checked(self, token: Token, body: OrderBody, key: str | None) -> Order:
        """The validated order; an invalid one is refused, and recorded."""
        try:
            return body.order(token.name, key)
        except ValidationError as error:
            refusal = unreadable(error, Order)
            await self.note_refused(token, body.model_dump(mode="json"), refusal)
            raise refusal from None

    async def note_stranger(self, connection: HTTPConnection, error: RefusedRequestError) -> None:
        """Record that somebody tried to change something without a token; only a limited number for each address."""
        client = connection.client.host if connection.client else ""
        if error.status is not HTTPStatus.UNAUTHORIZED or self._strangers.take(client):
            return
        request = f"{connection.scope['method']} {connection.url.path} from {client}"
        with suppress(CollectorError):  # a stranger is not told whether an acting process runs
            await self._client.note_refused({"said": request, "source": _SOURCE}, error)

    async def note_refused(self, token: Token, body: Any, error: OrderRefusedError | RefusedRequestError) -> None:
        """Have the acting process record what was refused here."""
        said = body if isinstance(body, Mapping) else {"said": str(body)}
        order = {**said, "who": token.name, "source": _SOURCE}
        async with _reached():
            await self._client.note_refused(order, error)

    @asynccontextmanager
    async def _audited(self, order: Order | Withdrawal) -> AsyncIterator[None]:
        try:
            async with _reached():
                yield
        except RefusedRequestError as error:  # the acting process itself records what it refuses
            if error.status is HTTPStatus.FORBIDDEN:
                async with _reached():
                    await self._client.note_refused(order.model_dump(mode="json", exclude_defaults=True), error)
            raise

    def _check_rate(self, token: Token) -> None:
        if token.rate is None:
            return
        if wait := self._rates.setdefault(f"{token.name} {token.rate}", Rates(token.rate)).take(token.name):
            raise RefusedRequestError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the token {token.name!r} gives more than {token.rate:g} orders a second",
                "order less often, or put many routes into one order",
                {"Retry-After": str(math.ceil(wait))},
            )

    async def _check_limit(self, token: Token, more: int) -> None:
        if token.limit is None:
            return
        own = [one for one in await self._client.intents() if one.who == token.name and one.source == _SOURCE]
        if len(own) + more > token.limit:
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"more than {token.limit} routes would be announced by order of the token {token.name!r}",
                "withdraw some, or make a token with a higher --limit",
            )


def holder(connection: HTTPConnection) -> Token:
    """The token that was sent.

    Raises:
        RefusedError: there is none.
    """
    token: Token | None = connection.state.token
    if token is None:
        raise RefusedRequestError(
            HTTPStatus.UNAUTHORIZED,
            "the token is not known here" if "authorization" in connection.headers else "a change requires a token",
            "bgpledger token add --scope announce --name NAME makes one, on the collector's machine",
            {"WWW-Authenticate": 'Bearer realm="bgpledger"'},
        )
    return token


def _orders_of(connection: HTTPConnection) -> Orders:
    orders: Orders = connection.app.state.orders
    return orders


OrdersDep = Annotated[Orders, Depends(_orders_of)]
Holder = Annotated[Token, Depends(holder)]


def _check_allowed(token: Token, announcements: Sequence[RouteAnnouncement | FlowAnnouncement]) -> None:
    if token.scope != "announce":
        raise RefusedRequestError(
            HTTPStatus.FORBIDDEN,
            f"the token {token.name!r} only allows queries",
            "bgpledger token add --scope announce --name NAME makes one that allows more",
        )
    ranges = [parse_range(one) for one in token.prefixes]
    for one in announcements if ranges else ():
        if not any(allowed.holds(one.prefix) for allowed in ranges):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"the token {token.name!r} is not for {one.prefix}: it is for {', '.join(token.prefixes)}",
                "order one of these, or make a token with another --prefix",
            )


def unreadable(error: ValidationError, model: type[BaseModel]) -> OrderRefusedError:
    """The message about an invalid order, or withdrawal."""
    return invalid(error.errors(include_url=False)[0], model)


def invalid(error: ErrorDetails, model: type[BaseModel], *, before: int = 0) -> OrderRefusedError:
    """The message about a fault of an order, or withdrawal; see `fault_of`."""
    fault = fault_of(error, model, before=before)
    return OrderRefusedError(fault.at(spelled(fault.place)), fault.cure or _CURE)


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    """Converts the error that no acting process runs."""
    try:
        yield
    except CollectorError as error:
        raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, error.cause, error.cure) from error
