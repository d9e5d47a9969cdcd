"""Sign in: a browser sends a token once, and then a key in a cookie that no script and no other site can use."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from collector.http.pages.forms import fields_of
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.sign_ins import COOKIE, LASTS, SIGN_IN

router = page_router()


class _Wanted(Shown):
    next: str | None = Field(None, max_length=2000)


@router.get(SIGN_IN)
async def form(request: Request, wanted: Annotated[_Wanted, Query()]) -> Response:
    """The form; a browser that is already signed in is redirected."""
    there = _here(wanted.next)
    if request.state.is_signed_in:
        return RedirectResponse(there, HTTPStatus.SEE_OTHER)
    return render(request, "sign_in.html", there=there, is_wrong=False)


@router.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Redirect to the page that the browser came from, or say that the token is invalid."""
    fields = await fields_of(request)
    there = _here(fields.get("next"))
    key = request.app.state.sign_ins.begin(fields.get("token", "").strip())
    if key is None:
        return render(request, "sign_in.html", HTTPStatus.FORBIDDEN, there=there, is_wrong=True)
    response = RedirectResponse(there, HTTPStatus.SEE_OTHER)
    http = request.app.state.settings
    secure = http.tls_cert is not None or http.behind_tls
    response.set_cookie(COOKIE, key, max_age=LASTS, httponly=True, samesite="strict", secure=secure)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the key."""
    request.app.state.sign_ins.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _here(text: str | None) -> str:
    """A URL on this server; any other is replaced by that of the page Now."""
    is_path = text is not None and text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if text and is_path else "/"
