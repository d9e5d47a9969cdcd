"""The state of the BMP receiver, for other processes, in a file of the data directory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from collector.files import replace
from collector.instances import Instance
from schemas.scalars import Timestamp

_FILE = "routers"


class ConnectedRouter(BaseModel):
    """A router that is connected."""

    model_config = ConfigDict(defer_build=True)

    address: str
    port: int
    since: Timestamp
    name: str | None = None
    """What it calls itself."""
    description: str | None = None
    messages: int = 0


class RefusedRouter(BaseModel):
    """A client that was refused, or did not speak BMP."""

    model_config = ConfigDict(defer_build=True)

    address: str
    last: Timestamp
    times: int
    cause: str
    cure: str


class BmpState(BaseModel):
    """The receiver's routers."""

    model_config = ConfigDict(defer_build=True)

    pid: int
    connected: list[ConnectedRouter] = []
    refused: list[RefusedRouter] = []

    def announce(self, instance: Instance) -> None:
        """Write the file atomically; on a full disk the previous one remains."""
        with suppress(OSError):
            replace(_path(instance), self.model_dump_json())


def read_state(instance: Instance) -> BmpState | None:
    """The state that the receiver last wrote; None if there is none."""
    try:
        return BmpState.model_validate_json(_path(instance).read_bytes())
    except (OSError, ValidationError):
        return None


def withdraw(instance: Instance) -> None:
    """Remove the state of a receiver that ends."""
    with suppress(OSError):
        _path(instance).unlink(missing_ok=True)


def _path(instance: Instance) -> Path:
    return instance.data_dir / f"{instance.named(_FILE)}.json"
