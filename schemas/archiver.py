"""The state that a running archiver writes to `archiver.json`, `archiver-1.json`, ..."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from schemas.scalars import Timestamp


class ArchiverState(BaseModel):
    """Whether the archiver's writes to the store succeed."""

    model_config = ConfigDict(frozen=True)

    pid: int
    store_away_since: Timestamp | None = None
    """When the first of the failed attempts was; null if writes succeed."""
    attempts: int = 0
    """The number of failed attempts since then."""
    last_error: str | None = None
    """The error of the last of them; contains no secret."""
    building: str | None = None
    """The index that is being built while lines are stored, since when, and its progress if the server reports it."""
