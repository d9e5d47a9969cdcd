"""The search box: redirects to the page that shows what was typed."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from bgpledger import UsageError, parse_filter, parse_prefix
from collector.http.pages.rendering import Shown, link, page_router, render
from collector.http.query_context import QueryContext, QueryContextDep
from schemas.scalars import normalise_address, parse_asn

router = page_router()

_SEE_OTHER = 303
_PATH = re.compile(r"(?:[0-9_^$ *+?(){}\[\]|,-]|\.[*+?])+")


class _Searched(Shown):
    q: str | None = Field(None, max_length=500)


@router.get("/search")
async def search(request: Request, context: QueryContextDep, wanted: Annotated[_Searched, Query()]) -> Response:
    """Redirect to the page for the search text; if nothing has this form, explain what can be searched for."""
    text = " ".join((wanted.q or "").split())
    found = await _page_of(text, context) if text else None
    if found:
        return RedirectResponse(found, _SEE_OTHER)
    return render(request, "search.html", 400 if text else 200, searched=text)


async def _page_of(text: str, context: QueryContext) -> str | None:
    address = _address(text.removeprefix("peer "))
    if address:
        is_peer = text.startswith("peer ") or await _is_peer(address, context)
        return link(f"/peer/{address}") if is_peer else link("/lookup", q=address)
    if "/" in text:
        return _prefix(text)
    asn = _asn(text)
    if asn is not None:
        return link(f"/as/{asn}")
    if _means("community", text):
        return link("/updates", community=text)
    return link("/updates", as_path=text) if _PATH.fullmatch(text) and _means("as_path", text) else None


async def _is_peer(address: str, context: QueryContext) -> bool:
    async with context.archive.peers(address, deadline=context.deadline) as peers:
        return bool([peer async for peer in peers])


def _address(text: str) -> str | None:
    try:
        return normalise_address(text)
    except ValueError:
        return None


def _prefix(text: str) -> str | None:
    try:
        return link(f"/prefix/{parse_prefix(text)}")
    except UsageError:
        return None


def _asn(text: str) -> int | None:
    try:
        return parse_asn("".join(text.split()))
    except ValueError:
        return None


def _means(name: str, text: str) -> bool:
    try:
        parse_filter({name: text})
    except UsageError:
        return False
    return True
