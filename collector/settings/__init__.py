"""What a collector is told: one TOML file, environment variables over it, the command line over both."""

from collector.settings.announce import AnnounceSettings, StaticSettings
from collector.settings.bgp import BgpSettings, PeerSettings
from collector.settings.http import HttpSettings
from collector.settings.keeping import ArchiveSettings, MongodbSettings, RetentionSettings, SpoolSettings
from collector.settings.keys import variables
from collector.settings.load import load
from collector.settings.model import LogSettings, Settings
from collector.settings.section import ALL_ADDRESSES
from collector.settings.sources import BmpSettings, ExabgpSettings, RisLiveSettings

__all__ = [
    "ALL_ADDRESSES",
    "AnnounceSettings",
    "ArchiveSettings",
    "BgpSettings",
    "BmpSettings",
    "ExabgpSettings",
    "HttpSettings",
    "LogSettings",
    "MongodbSettings",
    "PeerSettings",
    "RetentionSettings",
    "RisLiveSettings",
    "Settings",
    "SpoolSettings",
    "StaticSettings",
    "load",
    "variables",
]
