"""Where routes were received: peers by the numbers of their collectors, in the way RIS numbers its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Self

from bgpledger import Archive, HistoryEntry, PeerSession, Route
from collector.http.ripestat.call import Call
from schemas.peer import Peer

_Place = tuple[str, str]


class Sources:
    """All peers that have ever had a session.

    Args:
        sessions: their sessions.
    """

    def __init__(self, sessions: list[PeerSession]) -> None:
        self.sessions = sessions
        first: dict[_Place, datetime] = {}
        for one in sessions:
            place = _place(one.collector, one.peer)
            first[place] = min(one.since, first.get(place, one.since))
        places = sorted(first, key=lambda place: (first[place], place))  # a new one changes no other's number
        self._numbers = {place: f"{number:02}" for number, place in enumerate(places)}

    @classmethod
    async def of_call(cls, call: Call) -> Self:
        """The peers that a call is about."""
        return cls(await call.all_of(call.archive.sessions(deadline=call.deadline)))

    @classmethod
    async def of(cls, archive: Archive) -> Self:
        """The peers of an archive."""
        async with archive.sessions() as answers:
            return cls([one async for one in answers])

    @property
    def since(self) -> datetime | None:
        """When the first session began."""
        return min((one.since for one in self.sessions), default=None)

    def has(self, entry: HistoryEntry) -> bool:
        """Whether a collector, or the router that reports the peer, is among them."""
        return _place(entry.collector, entry.peer) in self._numbers

    def number(self, entry: HistoryEntry | Route | PeerSession) -> str:
        """The number of the collector, or of the router that reports the peer: `00`."""
        return self._numbers.get(_place(entry.collector, entry.peer), "99")

    def id(self, entry: HistoryEntry | Route | PeerSession) -> str:
        """The id of a peer: the number, and its address."""
        return f"{self.number(entry)}-{entry.peer.address}"

    def name(self, number: str) -> str:
        """The collector with a number, and the router that reports the peer."""
        place = next((place for place, one in self._numbers.items() if one == number), ("", ""))
        return " at ".join(filter(None, place))

    @property
    def numbers(self) -> Iterable[str]:
        """All numbers, in order."""
        return self._numbers.values()

    def described(self, ids: set[str]) -> list[dict[str, object]]:
        """The peers with these ids, in BGPlay's form."""
        found = {self.id(one): one for one in self.sessions}
        return [
            {"id": name, "as_number": one.peer.asn, "ip": one.peer.address, "rrc": self.number(one)}
            for name, one in sorted(found.items())
            if name in ids
        ]


def _place(collector: str | None, peer: Peer) -> _Place:
    return collector or "", peer.router or ""


def path_of(entry: HistoryEntry | Route, call: Call) -> list[int]:
    """An AS path as plain numbers; a message says that sets lose their braces."""
    path = entry.as_path or ""
    if re.search(r"[{(\[]", path):
        call.tell("info", "AS_SETs and confederations in AS paths are written as plain ASes")
    return [int(number) for number in re.findall(r"\d+", path)]


def ripestat_communities(entry: HistoryEntry | Route) -> list[str]:
    """Standard communities, then large ones."""
    return [*(entry.communities or ()), *(entry.large_communities or ())]
