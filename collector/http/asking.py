"""One request's view of the archive: what it notes goes into this request's answer."""

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
    """A question that is being answered."""

    archive: Archive
    """Tells `notes` what whoever asks should know."""
    live: Live
    """What happens now."""
    settings: HttpSettings
    notes: list[str] = field(default_factory=list)

    @property
    def deadline(self) -> float:
        """Seconds that a question may take."""
        return self.settings.seconds


def asking_of(connection: HTTPConnection) -> Asking:
    """The question of a connection."""
    state = connection.app.state
    notes: list[str] = []
    return Asking(state.archive.telling(notes.append), state.live, state.settings, notes)


def _of_request(request: Request) -> Asking:
    return asking_of(request)


Asked = Annotated[Asking, Depends(_of_request)]
