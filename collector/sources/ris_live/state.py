"""The state of the connection to RIS Live, for other processes, in a file of the data directory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from collector.files import replace
from schemas.scalars import Timestamp

_FILE = "ris_live.json"


class FeedState(BaseModel):
    """The state of the connection to the feed."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    pid: int
    connected: bool
    since: Timestamp
    """Since when it is connected, or disconnected."""
    last_message: Timestamp | None = None
    """When the feed last sent a message; None: not since the receiver started."""
    reconnects: int = 0
    """How often the receiver has reconnected since it started."""

    def announce(self, data_dir: Path) -> None:
        """Write the file atomically; on a full disk the previous one remains."""
        with suppress(OSError):
            replace(data_dir / _FILE, self.model_dump_json())


def read_state(data_dir: Path) -> FeedState | None:
    """The state that the receiver last wrote; None if there is none."""
    try:
        return FeedState.model_validate_json((data_dir / _FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def withdraw(data_dir: Path) -> None:
    """Remove the state of a receiver that ends."""
    with suppress(OSError):
        (data_dir / _FILE).unlink(missing_ok=True)
