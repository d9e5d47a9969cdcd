"""One request's view of the archive: notes about its answers go into its response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from bgpledger import Archive
from collector.http.live import Live
from collector.settings import HttpSettings


@dataclass
class Asking:
    """A query that is being answered."""

    archive: Archive
    """The archive, which adds notes about its answers to `notes`."""
    live: Live
    """The live feed."""
    settings: HttpSettings
    notes: list[str] = field(default_factory=list)

    @property
    def deadline(self) -> float:
        """The time limit for the query, in seconds."""
        return self.settings.seconds


def asking_of(connection: HTTPConnection) -> Asking:
    """The query context of a connection."""
    state = connection.app.state
    notes: list[str] = []
    return Asking(state.archive.telling(notes.append), state.live, state.settings, notes)


def _of_request(request: Request) -> Asking:
    return asking_of(request)


Asked = Annotated[Asking, Depends(_of_request)]
