"""What answers one request: the archive, and the notes about its answers, which go into the response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from bgpledger import Archive
from collector.http.live import Live
from collector.settings.http import HttpSettings


@dataclass
class QueryContext:
    """What the query of one request needs."""

    archive: Archive
    """The archive, which adds notes about its answers to `notes`."""
    live: Live
    """The live feed."""
    settings: HttpSettings
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, connection: HTTPConnection) -> QueryContext:
        """The context of a request or a WebSocket; its notes are its own."""
        state = connection.app.state
        notes: list[str] = []
        return cls(state.archive.telling(notes.append), state.live, state.settings, notes)

    @property
    def deadline(self) -> float:
        """The time limit for the query, in seconds."""
        return self.settings.seconds


QueryContextDep = Annotated[QueryContext, Depends(QueryContext.of)]
"""The parameter of a path function by which FastAPI passes the request's context to it."""
