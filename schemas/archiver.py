"""The state that a running archiver writes to `archiver.json`, `archiver-1.json`, ..."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from schemas.scalars import Timestamp


class ArchiverState(BaseModel):
    """Whether the store takes what the archiver writes."""

    model_config = ConfigDict(frozen=True)

    pid: int
    store_away_since: Timestamp | None = None
    """The first attempt of those that failed; null while the store takes everything."""
    attempts: int = 0
    """How many have failed since then."""
    last_error: str | None = None
    """Of the last of them; holds no secret."""
    building: str | None = None
    """The index that is built beside the writing, since when, and how far it is where the server tells."""
