"""Ask the archive from Python: see `Archive`.

    from bgpledger import Archive, parse_filter

    async with Archive.open("mongodb://127.0.0.1:27017") as archive:
        async for entry in archive.history("203.0.113.0/24", parse_filter({"peer": "192.0.2.1", "start": "2h"})):
            print(entry.ts, entry.event, entry.as_path)

Answers are the pydantic models that `bgpledger .. --format json` prints (`schemas.query`). All that can go wrong for a
user is a `BgpledgerError`, with its `cause` and its `cure`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from bgpledger.answers import Answers
from bgpledger.archive import Archive
from collector.errors import BgpledgerError, DeadlineError, StoreError, StoreUnavailableError, UsageError
from collector.query.arguments import parse_prefix, parse_time
from collector.query.filter_text import parse_filter
from collector.query.filters import Filter
from schemas.query import ActivitySample, FoundEntry, HistoryEntry, LiveEntry, Route, RouteChange, TopEntry

if TYPE_CHECKING:
    from collector.query.timeline import PrefixTimeline
    from schemas.status import CollectorStatus, PeerSession, PeerStatus

__all__ = [
    "ActivitySample",
    "Answers",
    "Archive",
    "BgpledgerError",
    "CollectorStatus",
    "DeadlineError",
    "Filter",
    "FoundEntry",
    "HistoryEntry",
    "LiveEntry",
    "PeerSession",
    "PeerStatus",
    "PrefixTimeline",
    "Route",
    "RouteChange",
    "StoreError",
    "StoreUnavailableError",
    "TopEntry",
    "UsageError",
    "parse_filter",
    "parse_prefix",
    "parse_time",
]

_IMPORTED_LATER = {
    "CollectorStatus": "schemas.status",
    "PeerSession": "schemas.status",
    "PeerStatus": "schemas.status",
    "PrefixTimeline": "collector.query.timeline",
}
"""What most queries do without, and its module."""


def __getattr__(name: str) -> type:
    """Import a class when it is first used (PEP 562)."""
    if name not in _IMPORTED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: type = getattr(import_module(_IMPORTED_LATER[name]), name)
    return found
