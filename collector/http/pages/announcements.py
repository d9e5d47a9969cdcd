"""Announcements: what we tell our peers, who ordered it and why, with forms to order and to withdraw."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from bgpledger import BgpledgerError
from collector.http.api.announcements import IntentFilters, intent_of, intents_of
from collector.http.orders import OrderBody, Orders, OrdersDep, unreadable
from collector.http.pages.forms import fields_of
from collector.http.pages.lanes import Scale
from collector.http.pages.ours import in_words, our_lanes, times_of
from collector.http.pages.rendering import TEMPLATES, Shown, link, page_router, render
from collector.http.problems import status_and_headers
from collector.http.query_context import QueryContext, QueryContextDep
from collector.http.sign_ins import SIGN_IN
from collector.query.times import parse_ahead
from schemas.announcements import BLACKHOLE, NO_EXPORT
from schemas.intents import Intent

router = page_router()

_HERE = "/announcements"
_ROWS = 500
_EXTENDED = ("target:", "origin:", "0x")
_LARGE = 2
"""Colons."""
_MARGIN = 0.05
_SHORTEST_MARGIN = timedelta(seconds=1)


class _Wanted(IntentFilters, Shown):
    pass


@router.get(_HERE)
async def announcements(
    request: Request, context: QueryContextDep, orders: OrdersDep, wanted: Annotated[_Wanted, Query()]
) -> Response:
    """Current announcements, or those at a past time."""
    return await _page(request, context, orders, wanted)


@router.post(_HERE)
async def order(request: Request, context: QueryContextDep, orders: OrdersDep) -> Response:
    """Announce, or check; a refusal is shown above the form, which keeps its input."""
    token = request.state.token
    if token is None:
        return _to_sign_in(_HERE)
    fields = await fields_of(request)
    how: dict[str, Any] = {"fields": fields}
    try:
        body = _body(fields)
        if body.dry_run:
            how["would"] = await orders.would(token, body)
        else:
            intents = await orders.announce(token, body, fields.get("key"))
            there = f"{_HERE}/{intents[0]['id']}" if len(intents) == 1 else _HERE
            return RedirectResponse(there, HTTPStatus.SEE_OTHER)
    except BgpledgerError as error:
        how["error"] = error
    return await _page(request, context, orders, _Wanted(), **how)


@router.get(f"{_HERE}/{{name}}")
async def announcement(request: Request, context: QueryContextDep, orders: OrdersDep, name: str) -> Response:
    """One announcement: its states, at each peer."""
    return _of_one(request, await intent_of(context, orders, name))


@router.post(f"{_HERE}/{{name}}/withdraw")
async def withdraw(request: Request, context: QueryContextDep, orders: OrdersDep, name: str) -> Response:
    """Withdraw it."""
    token = request.state.token
    if token is None:
        return _to_sign_in(f"{_HERE}/{name}")
    why = (await fields_of(request)).get("why", "")
    try:
        await orders.withdraw(token, name, why)
    except BgpledgerError as error:
        return _of_one(request, await intent_of(context, orders, name), error=error, why=why)
    return RedirectResponse(link(f"{_HERE}/{name}"), HTTPStatus.SEE_OTHER)


async def _page(
    request: Request,
    context: QueryContext,
    orders: Orders,
    wanted: _Wanted,
    *,
    fields: Mapping[str, str] | None = None,
    error: BgpledgerError | None = None,
    would: Sequence[Mapping[str, Any]] | None = None,
) -> Response:
    async with intents_of(context, orders, wanted) as answers:
        found = [one async for one in answers][::-1]
    return render(
        request,
        "announcements.html",
        http=status_and_headers(error)[0] if error else HTTPStatus.OK,
        wanted=wanted,
        intents=found[:_ROWS],
        count=len(found),
        may_order=_may_order(request),
        fields={"key": secrets.token_hex(16)} if fields is None else fields,
        error=error,
        would=would,
        notes=context.notes,
    )


def _of_one(request: Request, intent: Intent, *, error: BgpledgerError | None = None, why: str = "") -> Response:
    times = times_of([intent])
    last = max(times) if intent.is_over else datetime.now(UTC)
    margin = max((last - times[0]) * _MARGIN, _SHORTEST_MARGIN)
    scale = Scale(times[0] - margin, last + (margin if intent.is_over else timedelta(0)))
    return render(
        request,
        "announcement.html",
        http=status_and_headers(error)[0] if error else HTTPStatus.OK,
        intent=intent,
        scale=scale,
        ours=our_lanes([intent], scale),
        may_order=_may_order(request),
        error=error,
        why=why,
    )


def _may_order(request: Request) -> bool:
    return request.state.token is not None and request.state.token.scope == "announce"


def _to_sign_in(there: str) -> Response:
    return RedirectResponse(link(SIGN_IN, next=there), HTTPStatus.SEE_OTHER)


def _body(fields: Mapping[str, str]) -> OrderBody:
    """The order in the form.

    Raises:
        UsageError: the expiry is not a time.
        RefusedError: the order is invalid.
    """
    attributes: dict[str, Any] = {
        name: fields[name]
        for name in ("next_hop", "origin", "med", "local_pref", "as_path", "prepend")
        if fields.get(name, "").strip()
    }
    attributes |= _communities(fields.get("communities", ""), blackhole="blackhole" in fields)
    fields_of_order: dict[str, Any] = {
        "announcements": [{"prefix": one, **attributes} for one in _parts(fields.get("prefixes", ""))],
        "why": fields.get("why", ""),
        "peers": _parts(fields.get("peers", "")),
        "group": fields.get("group", "").strip() or None,
        "dry_run": fields.get("do") == "check",
    }
    if expires := fields.get("expires", "").strip():
        fields_of_order["expires"] = parse_ahead(expires, datetime.now(UTC))
    try:
        return OrderBody.model_validate(fields_of_order)
    except ValidationError as error:
        raise unreadable(error, OrderBody) from None


def _communities(text: str, *, blackhole: bool) -> dict[str, Sequence[str]]:
    each = _parts(text)
    extended = [one for one in each if one.lower().startswith(_EXTENDED)]
    large = [one for one in each if one not in extended and one.count(":") == _LARGE]
    plain = [one for one in each if one not in extended and one not in large]
    if blackhole:  # RFC 7999 3.2: it should not leave the AS that honours it
        plain += [BLACKHOLE, NO_EXPORT]
    return {"communities": plain, "large_communities": large, "extended_communities": extended}


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").split()


TEMPLATES.env.filters["said_with"] = in_words
