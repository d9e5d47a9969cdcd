"""Our own announcements: orders, withdrawals, and the state of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import Response

from bgpledger import Answers
from collector.errors import RefusedError as OrderRefusedError
from collector.http.answering import listing, respond
from collector.http.orders import Holder, OrderBody, Orders, OrdersDep, holder, invalid
from collector.http.parameters import TIME, Answered, Parameters, text
from collector.http.problems import RESPONSES, RefusedRequestError, misused
from collector.http.query_context import QueryContext, QueryContextDep
from schemas.intents import Intent, StateName
from schemas.json_object import JsonObject


class _OrderRoute(APIRoute):
    """Records orders that cannot be parsed, or that come without a token, as refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that answers a request."""
        answer = super().get_route_handler()

        async def answer_and_note(request: Request) -> Response:
            try:
                return await answer(request)
            except RefusedRequestError as error:
                await request.app.state.orders.note_stranger(request, error)
                raise
            except RequestValidationError as error:
                if request.method != "POST":
                    raise
                refused = _invalid(error, request)
                await request.app.state.orders.note_refused(holder(request), error.body, refused)
                raise refused from None

        return answer_and_note


def _invalid(error: RequestValidationError, request: Request) -> OrderRefusedError:
    """What is wrong with an order, or with its key."""
    first = error.errors()[0]
    where, *place = first["loc"]
    if where != "body":
        usage_error = misused(error, request)
        return OrderRefusedError(usage_error.cause, usage_error.cure)
    if first["type"] == "json_invalid":
        return OrderRefusedError(f"the body is not JSON: {first['ctx']['error']}", "correct it; see /api/v1/docs")
    if not place:
        return OrderRefusedError(
            "the body is not a JSON object", "send one, with the header Content-Type: application/json"
        )
    return invalid(first, OrderBody, before=1)


router = APIRouter(tags=["announcements"], route_class=_OrderRoute)


class IntentFilters(Parameters):
    """Which intents."""

    prefix: str | None = text("Only of this prefix.", "203.0.113.0/24")
    at: str | None = text(f"As they stood then. {TIME}", "2h")
    ended: bool = Field(default=False, description="Also those that have ended: withdrawn, expired, replaced, failed.")
    state: StateName | None = Field(None, description="Only those in this state.")
    peer: str | None = text("Only those for this peer.", "192.0.2.1")
    who: str | None = text("Only what this one ordered: the name of a token, or a user.", "noc")
    source: str | None = text("Only what came from there.", "api")

    def wants(self, intent: Intent) -> bool:
        """Whether an intent is wanted."""
        return (
            self.state in (None, intent.state)
            and (self.peer is None or self.peer in intent.peers)
            and self.who in (None, intent.who)
            and self.source in (None, intent.source)
            and (self.ended or self.state is not None or not intent.is_over)
        )


class _Listing(Answered, IntentFilters):
    pass


class PlannedCommands(BaseModel):
    """What a peer would be sent."""

    nlri: str
    peers: dict[str, str] = Field(description="The commands that ExaBGP would get, by the peer's address.")
    policies: dict[str, list[str]] = Field(
        description="The names of the rules that matched, in order, by the peer's address. The last one rejects it if "
        "the peer is not in `peers`."
    )
    failing: dict[str, str] = Field(
        description="By the peer's address, why it would not be sent there for now: its session has not negotiated the "
        "family."
    )


class OrderTaken(BaseModel):
    """The result of an order, which is on disk; with `dry_run`, what it would have been."""

    ids: list[str] = Field(description="The ids of the intents, in the order of the announcements.")
    intent: Intent | None = Field(None, description="The intent, if there is only one.")
    would: list[PlannedCommands] | None = Field(None, description="With `dry_run`.")


_REFUSALS: dict[int | str, JsonObject] = {
    status: {**RESPONSES[400], "description": words}
    for status, words in (
        (401, "It takes a token, here too."),
        (403, "The token does not allow it."),
        (422, "It must not be announced, cannot be meant, or its key has been used for another order."),
        (429, "The token gives too many orders."),
        (503, "Nobody takes orders: the collector does not run, or has no [announce]."),
    )
}
Key = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=100,
        pattern=r"^[!-~]+$",
        description="An order is carried out only once, however often it is sent with the same key.",
    ),
]
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$", description="Of an intent.", examples=["69289ce0a1b2c300000004d2"])]


@router.post("/announcements", summary="Announce routes", status_code=201, responses=_REFUSALS)
async def announce(
    orders: OrdersDep, token: Holder, body: OrderBody, response: Response, idempotency_key: Key = None
) -> OrderTaken:
    """Announce routes or flow specifications: they are on the collector's disk when this answers, with 201.

    Their states can be queried by their ids. With `dry_run` the order is only checked, with 200.
    """
    if body.dry_run:
        response.status_code = HTTPStatus.OK
        return OrderTaken(
            ids=[], would=[PlannedCommands.model_validate(one) for one in await orders.would(token, body)]
        )
    intents = await orders.announce(token, body, idempotency_key)
    ids = [one["id"] for one in intents]
    if len(ids) != 1:
        return OrderTaken(ids=ids)
    response.headers["Location"] = f"/api/v1/announcements/{ids[0]}"
    return OrderTaken(ids=ids, intent=Intent.model_validate(intents[0]))


@router.get("/announcements", summary="What is announced, and was", **listing(Intent))
async def announcements(
    request: Request, context: QueryContextDep, orders: OrdersDep, wanted: Annotated[_Listing, Query()]
) -> Response:
    """What this collector announces to whom, who ordered it and why, oldest first."""

    def ask(**_: object) -> Answers[Intent]:
        return intents_of(context, orders, wanted)

    return await respond(request, context, wanted, Intent, ask)


@router.get("/announcements/{id}", summary="One announcement, with its states")
async def announcement(context: QueryContextDep, orders: OrdersDep, id: Id) -> Intent:  # noqa: A002  # as paths have it
    """One announcement, with each state that it has reached at each peer."""
    return await intent_of(context, orders, id)


@router.delete("/announcements/{id}", summary="Withdraw one", responses=_REFUSALS)
async def withdraw(
    orders: OrdersDep,
    token: Holder,
    id: Id,  # noqa: A002
    why: Annotated[str, Query(max_length=500, description="The reason, for those who read it later.")],
) -> Intent:
    """Withdraw it from all peers: the order is on the collector's disk when this answers."""
    return await orders.withdraw(token, id, why)


def intents_of(context: QueryContext, orders: Orders, wanted: IntentFilters) -> Answers[Intent]:
    """Intents, oldest first: from the store, and, if it does not have them yet, from the acting process."""

    async def give(_: Answers[Intent]) -> AsyncGenerator[Intent, None]:
        stored = context.archive.intents(wanted.prefix, at=wanted.at, ended=True, deadline=context.deadline)
        async with stored:
            found = {one.id: one async for one in stored}
        if wanted.at is None:
            newest = [one for one in await orders.recent_intents() if wanted.prefix in (None, one.announcement.prefix)]
            found.update({one.id: one for one in newest})
        for one in sorted(found.values(), key=lambda one: (one.created, one.number)):
            if wanted.wants(one):
                yield one

    return Answers(give, deadline=context.deadline)


async def intent_of(context: QueryContext, orders: Orders, name: str) -> Intent:
    """One intent.

    Raises:
        RefusedRequestError: there is none with this id.
    """
    if (known := await orders.find(name)) is not None:
        return known
    async with context.archive.intents(ended=True, deadline=context.deadline) as stored:
        async for one in stored:
            if one.id == name:
                return one
    raise RefusedRequestError(HTTPStatus.NOT_FOUND, f"there is no announcement {name}", "see /api/v1/announcements")
