"""The application: its routes and middleware."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware

from bgpledger import Archive
from collector.http import commands, failing, health, metrics, pages
from collector.http.api import api
from collector.http.commands import Read
from collector.http.concurrency import QueryLimit
from collector.http.description import describe
from collector.http.guard import Guard
from collector.http.headers import Headers
from collector.http.live import Live
from collector.http.orders import Orders
from collector.http.pages.words import Words
from collector.http.ripestat import router as ripestat
from collector.http.rislive import router as rislive
from collector.http.sign_ins import SignIns
from collector.http.tokens import Keyring
from collector.query.archivers import is_behind
from collector.settings.model import Settings

_ABOUT = """What routers said in BGP, at any second of the past. Times are RFC 3339 with their zone, in answers UTC; in
questions also unix seconds, `2h` (ago) or `yesterday 14:05`. In each filter but the AS path a comma is OR, and a
leading `!` excludes. What an answer cannot know is in its `notes`; `covered` is false where the archive has not seen
all of the time that is asked about. Errors are problems of RFC 9457, with their cause (`detail`) and their `cure`."""


class ForCommands(NamedTuple):
    """How commands of the collector's user are answered."""

    read: Read
    token: str
    """The token that they send."""


def make_app(archive: Archive, settings: Settings, for_commands: ForCommands | None = None) -> FastAPI:
    """The application over an archive, which must stay open while the application answers.

    Args:
        archive: the archive to query.
        settings: who may query, the time limits, and the meaning of communities ([http]).
        for_commands: answer commands too.

    Raises:
        ConfigurationError: the file of communities cannot be read.
    """
    app = FastAPI(
        title="bgpledger",
        summary="An archive of BGP",
        description=_ABOUT,
        version=version("bgpledger"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    _set_state(app, archive, settings)
    failing.handle(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(api)
    app.include_router(ripestat)
    app.include_router(rislive)
    if for_commands:
        app.state.commands = commands.Commands(for_commands.read)
        app.include_router(commands.router)
    pages.add_to(app, Words.read(settings.http.communities))
    describe(app)
    _add_middleware(app, settings, for_commands and for_commands.token)
    return app


def _set_state(app: FastAPI, archive: Archive, settings: Settings) -> None:
    """What requests are answered with."""
    app.state.archive = archive
    app.state.live = Live(archive)
    app.state.registry = CollectorRegistry()
    app.state.settings = settings.http
    app.state.orders = Orders(settings.data_dir)
    app.state.keyring = Keyring(settings.data_dir)
    app.state.sign_ins = SignIns(app.state.keyring)


def _add_middleware(app: FastAPI, settings: Settings, local_token: str | None) -> None:
    # The middleware that is added last runs first.
    app.add_middleware(QueryLimit, seconds=settings.http.seconds, is_behind=partial(is_behind, settings.data_dir))
    app.add_middleware(metrics.Measured, registry=app.state.registry)
    app.add_middleware(
        Guard,
        settings=settings,
        keyring=app.state.keyring,
        sign_ins=app.state.sign_ins,
        orders=app.state.orders,
        local_token=local_token,
    )
    if settings.http.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.http.origins, allow_methods=["GET"])
    app.add_middleware(Headers)
