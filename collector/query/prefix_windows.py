"""The UPDATEs for one prefix, read in windows of time, as the index over prefix, peer and time serves them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from collector.query.streams import UpdateRow
from collector.store.mongo import Store
from collector.store.traits import Traits
from collector.store.updates import pieces

UPDATE_FIELDS = ("ts", "collector", "peer", "session", "attributes", "announce", "withdraw")
RouteEvent = Literal["announce", "withdraw"]
EVENTS: tuple[RouteEvent, ...] = ("withdraw", "announce")
"""Within one message the withdrawal comes first: the route stands afterwards (RFC 4271 4.3)."""
EPOCH = datetime.fromtimestamp(0, UTC)
FIRST_WINDOW, NARROWEST_WINDOW = timedelta(minutes=1), timedelta(milliseconds=1)
"""Stored times are no finer than the narrowest one."""
NARROWER = 8
MOST = 4000
"""UPDATEs: windows with more are read in parts."""
FEW = 200
"""UPDATEs: a prefix with no more is read at once."""
_WANTED, _MUCH_WIDER = 1000, 1000
_WIDEST = timedelta(days=36500)


class PrefixReader:
    """Reads the UPDATEs for a prefix.

    Args:
        store: the archive.
        prefix: the prefix, normalised.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix
        self._all: Sequence[UpdateRow] | None = None

    async def read_few(self) -> None:
        """Read all UPDATEs at once, if they are few: the server is asked for none of them again.

        Only where a server stops at the limit of a query: SecantusDB 0.7.0b3 reads all that there is.
        """
        if (await self.store.traits()).window_documents is not None:
            return
        found: list[UpdateRow] = []
        for event in reversed(EVENTS):  # announcements are more
            query = {f"{event}.nlri": self.prefix}
            async for one in self.store.find("updates", query, limit=FEW + 1 - len(found), fields=UPDATE_FIELDS):
                found.append(UpdateRow(one["ts"], one["_id"].binary, one, event))  # noqa: PERF401 - asynchronous
            if len(found) > FEW:
                return
        self._all = sorted(found, key=lambda row: (*row[:2], EVENTS.index(row.event or "announce")))

    @property
    def senders(self) -> Collection[str] | None:
        """The addresses of all peers with UPDATEs for the prefix; None unless all of these have been read."""
        return None if self._all is None else {row.document["peer"]["address"] for row in self._all}

    async def read(
        self, begin: datetime, end: datetime | None, addresses: Collection[str], *, whole: bool = False
    ) -> list[UpdateRow] | None:
        """The UPDATEs of some peers in a window, in order; None if there are too many for one window.

        Args:
            begin: the begin, included.
            end: the end, excluded; None: none.
            addresses: the peers.
            whole: read all, however many there are.
        """
        if self._all is not None:
            within = [row for row in self._all if begin <= row.ts and (end is None or row.ts < end)]
            return [row for row in within if row.document["peer"]["address"] in addresses]
        is_narrowest = end is not None and end - begin <= NARROWEST_WINDOW
        most = 0 if whole or is_narrowest else MOST
        span = {"$gte": begin, **({"$lt": end} if end else {})}
        found: list[UpdateRow] = []
        for some in _together(addresses, await self.store.traits()):
            for event in EVENTS:
                query = {f"{event}.nlri": self.prefix, "peer.address": some, "ts": span}
                limit = most and most + 1 - len(found)
                async for one in self.store.find("updates", query, limit=limit, fields=UPDATE_FIELDS):
                    found.append(UpdateRow(one["ts"], one["_id"].binary, one, event))  # noqa: PERF401 - asynchronous
                if most and len(found) > most:
                    return None
        return sorted(found, key=lambda row: row[:2])


def _together(addresses: Collection[str], traits: Traits) -> Iterator[Any]:
    """Peers to query together; one by one where a list would read the UPDATEs of all peers."""
    if len(addresses) == 1 or not traits.narrows_lists:
        return iter(addresses)
    return ({"$in": some} for some in pieces(sorted(addresses), traits.keys))


def next_width(width: timedelta, count: int) -> timedelta:
    """The width of the window before one with so many UPDATEs: about a thousand if they are evenly spread."""
    factor = min(_WANTED / max(count, 1), _MUCH_WIDER)
    return min(max(width * factor, NARROWEST_WINDOW), _WIDEST)
