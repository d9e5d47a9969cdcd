"""What a collector is told: one TOML file, environment variables over it, the command line over both."""

from collector.settings.load import load, variables
from collector.settings.model import (
    ArchiveSettings,
    BgpSettings,
    BmpSettings,
    ExabgpSettings,
    HttpSettings,
    LogSettings,
    MongodbSettings,
    PeerSettings,
    RisLiveSettings,
    Settings,
    SpoolSettings,
)

__all__ = [
    "ArchiveSettings",
    "BgpSettings",
    "BmpSettings",
    "ExabgpSettings",
    "HttpSettings",
    "LogSettings",
    "MongodbSettings",
    "PeerSettings",
    "RisLiveSettings",
    "Settings",
    "SpoolSettings",
    "load",
    "variables",
]
