"""Pages for people: rendered here, without a build step and without a request to another host."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from collector.http.pages import (
    announcements,
    api,
    asn,
    compare,
    live,
    lookup,
    now,
    peer,
    prefix,
    replay,
    search,
    sign_in,
    updates,
    which,
)
from collector.http.pages.minutes import Minutes
from collector.http.pages.rendering import HERE, TEMPLATES
from collector.http.pages.words import Words

_PAGES = (now, which, prefix, replay, lookup, peer, asn, updates, compare, live, search, announcements, api, sign_in)


def add_to(app: FastAPI, words: Words) -> None:
    """Put the pages, and the files that they use, into an application.

    Args:
        app: the application.
        words: what communities mean.
    """
    for page in _PAGES:
        app.include_router(page.router)
    app.state.minutes = Minutes()
    app.state.shared = TEMPLATES.env.get_template("shared.html").make_module({"in_words": words.of})
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
