"""Where the archive is: `data_dir` and `[mongodb]`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from collector.local_server import default_data_dir
from collector.settings import values
from collector.settings.section import SettingsSection


class MongodbSettings(SettingsSection):
    """Where documents go."""

    uri: values.MongodbUri | None = Field(
        None, description="mongodb://HOST/ or mongodb+srv://HOST/ and so on; without it, the embedded store"
    )
    uri_file: values.PossiblePath | None = Field(None, description="a file with just the URI")
    database: str = Field(
        "bgpledger",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="the database's name: letters, digits, - and _, at most 63",
    )
    embedded: str | None = Field(
        None,
        min_length=1,
        description='the server of the embedded store, a name or a path: "secantusd-rs"; default: that of pip',
    )
    driver: Literal["pymongo", "motor"] = Field("pymongo", description='"pymongo" or "motor"')


class StoreSettings(SettingsSection):
    """The settings that say where the archive is."""

    data_dir: values.PossiblePath = Field(
        default_factory=lambda: Path(default_data_dir(os.environ)),
        description="the directory for all files of the collector",
    )
    mongodb: MongodbSettings = MongodbSettings()
