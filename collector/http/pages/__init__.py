"""Pages for people: rendered here, without a build step and without a request to another host."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from collector.http.pages import api, asn, compare, live, lookup, now, peer, prefix, replay, search, updates
from collector.http.pages.minutes import Minutes
from collector.http.pages.rendering import HERE

_PAGES = (now, prefix, replay, lookup, peer, asn, updates, compare, live, search, api)


def add_to(app: FastAPI) -> None:
    """Put the pages, and the files that they use, into an application."""
    for page in _PAGES:
        app.include_router(page.router)
    app.state.minutes = Minutes()
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
