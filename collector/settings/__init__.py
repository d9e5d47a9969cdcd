"""A collector's settings: a TOML file, overridden by environment variables, overridden by the command line."""

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
