"""The last gap of a session's peer, and the tables that the peer sent again after it."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Self

from bson import ObjectId

from collector.store.mongo import Store
from collector.store.updates import IN_ORDER, NEWEST_FIRST, pieces
from schemas.keys import key_collector, key_line
from schemas.stored import GapDocument, PeerDocument, SessionDocument, name_of

_MILLISECOND = timedelta(milliseconds=1)
_BEGINNING = datetime.fromtimestamp(0, UTC)


class LastGap(NamedTuple):
    """The last gap of a session's peer."""

    ts: datetime
    certain_from: datetime
    """Routes announced before this are uncertain."""
    line: int
    collector: int
    """With `line`, its place in the order of the spool's lines."""

    @classmethod
    def of(cls, gap: GapDocument) -> Self:
        """The gap of a document."""
        ts: datetime = gap["ts"]
        # Lines of one millisecond may be before and after a gap that began in it: all of them are uncertain then.
        certain_from = ts + _MILLISECOND if gap.get("after") == ts else ts
        return cls(ts, certain_from, gap["line"], key_collector(gap["_id"]))

    def lies_before(self, key: ObjectId) -> bool:
        """Whether a line, of which only the key is known, comes after the gap."""
        return key_collector(key) != self.collector or key_line(key) >= self.line


async def last_gap(
    store: Store, session: SessionDocument, end: datetime | None, dumped: datetime | None
) -> LastGap | None:
    """The last gap of a session's peer that hides routes, up to a time; gaps before a RIB dump do not count."""
    # The line that a session was first seen by may have revealed a gap, which hides what the session said before.
    begin = "$gte" if dumped or session["began"] == "seen" else "$gt"
    span = {begin: dumped or session["since"], **({"$lte": end} if end else {})}
    fields = ("collector", "peer", "ts", "after", "line", "cause")
    last: list[GapDocument] = []
    for names in pieces(_names(session["peer"]["address"]), (await store.traits()).keys):
        query = {"peer.address": {"$in": names}, "ts": span}
        async with aclosing(store.find("gaps", query, sort=NEWEST_FIRST, fields=fields)) as gaps:
            async for gap in gaps:
                if gap["cause"] == "table":  # what is missing is missing before the dump
                    continue
                if gap["collector"] == session["collector"] and _at(gap["peer"]) == _at(session["peer"]):
                    last.append(gap)
                    break
    if not last:
        return None
    newest = max(last, key=lambda gap: (gap["ts"], gap["_id"]))
    # The contents of a dump are certain, even if other parts of it cannot be read.
    found = LastGap.of(newest)
    return found._replace(certain_from=_BEGINNING) if newest["ts"] == dumped else found


def _at(peer: PeerDocument) -> tuple[str | None, ...]:
    """Which router, distinguisher and table reported a peer, whatever its address."""
    return peer.get("router"), peer.get("rd"), peer.get("rib")


@lru_cache(maxsize=1024)
def _names(address: str) -> list[str]:
    """An address, and every range that may contain it: the peers of a range have their gaps in common."""
    network = ipaddress.ip_network(address)
    return [address, *(str(network.supernet(new_prefix=length)) for length in range(network.prefixlen))]


def resent(session: SessionDocument, end: datetime | None) -> Iterator[tuple[str, datetime]]:
    """Tables that a router sent again after any gap: the family, and when each began, oldest first."""
    for table in session.get("resent", ()):
        if end is None or table["end"] <= end:
            yield table["family"], table["begin"]


async def refreshed(
    store: Store, session: SessionDocument, gap: LastGap, end: datetime | None
) -> AsyncIterator[tuple[str, datetime]]:
    """Tables that were sent again after a gap: the family, and when each began."""
    span = {"$gte": gap.ts, **({"$lte": end} if end else {})}
    query = {"peer.address": session["peer"]["address"], "kind": "refresh", "ts": span}
    begun: dict[str, datetime] = {}
    fields = ("ts", "collector", "peer", "family", "subtype")
    async for marker in store.find("messages", query, sort=IN_ORDER, fields=fields):
        if (marker["collector"], name_of(marker["peer"])) != (session["collector"], name_of(session["peer"])):
            continue
        if not gap.lies_before(marker["_id"]):
            continue
        family = marker["family"]
        if marker["subtype"] == "begin":
            begun[family] = marker["ts"]
        elif marker["subtype"] == "end" and family in begun:
            yield family, begun.pop(family)
