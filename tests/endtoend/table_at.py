"""The table at any time, from bgpdump's lines alone: the archive's table must be the same."""

from __future__ import annotations

import random
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from collector.query.rib import RibQuery, rib
from collector.replay.plan import PlannedPeer
from collector.store.mongo import Store
from schemas.query import Route
from schemas.scalars import normalise_address, normalise_prefix
from tests.support import program

WELL_KNOWN = {"no-export": "65535:65281", "no-advertise": "65535:65282", "no-export-subconfed": "65535:65283"}


class PeerEvent(NamedTuple):
    """One announcement or withdrawal, with the fields that bgpdump and the archive both have."""

    peer: str
    event: str
    path: str = ""
    next_hop: str = ""
    origin: str = ""
    med: int = 0
    communities: frozenset[str] = frozenset()


class Line(NamedTuple):
    """A line of `bgpdump -m -p`."""

    record: int
    """The number of its record in the file."""
    peer: str
    """With the address that it has in the replay."""
    prefix: str
    """Of a session's end: none."""
    change: PeerEvent


def lines(file: Path, peers: list[PlannedPeer]) -> Iterator[Line]:
    """What bgpdump prints of a file, line by line."""
    sources = {(normalise_address(peer.address), peer.asn): peer.source for peer in peers}
    printed = subprocess.run(
        [program("bgpdump"), "-m", "-p", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    ).stdout.splitlines()
    for line in printed:
        _, record, _, kind, address, asn, *rest = line.split("|")
        key = normalise_address(address), int(asn)
        if kind == "STATE" and (rest[0] != "6" or key not in sources):  # a peer with nothing but ends is not replayed
            continue
        peer = sources[key]
        if kind == "W":
            yield Line(int(record), peer, normalise_prefix(rest[0]), PeerEvent(peer, "withdraw"))
        elif kind == "A":
            prefix, path, origin, next_hop, _, med, communities, *_ = rest
            named = frozenset(WELL_KNOWN.get(one, one) for one in communities.split() if one.count(":") < 2)
            event = PeerEvent(peer, "announce", path, normalise_address(next_hop), origin.lower(), int(med), named)
            yield Line(int(record), peer, normalise_prefix(prefix), event)
        elif kind == "STATE":
            yield Line(int(record), peer, "", PeerEvent(peer, "end"))


class Tale:
    """A peer's records in order, folded up to any of them; each is an UPDATE, or the end of a session."""

    def __init__(self) -> None:
        self.records: list[list[Line]] = []
        self.stands: dict[str, PeerEvent] = {}
        self._at = 0
        self._updates = 0

    def go_on(self, updates: int) -> None:
        """Fold until the given number of UPDATEs is reached."""
        while self._updates < updates:
            self._updates += self._fold(self.records[self._at])
            self._at += 1

    def _fold(self, record: list[Line]) -> bool:
        for line in record:
            if line.change.event == "end":
                self.stands.clear()
                return False
            self.stands.pop(line.prefix, None)
            if line.change.event == "announce":
                self.stands[line.prefix] = line.change
        return True


async def assert_any_moment(store: Store, file: Path, peers: list[PlannedPeer], *, count: int, seed: int) -> None:
    """`rib` at random moments is the fold of what bgpdump prints up to then: of three peers, or, at times, of all.

    The archive's time is when ExaBGP wrote a line, which the file cannot know. So a moment of the archive is found in
    the file by counting: at T a peer had said its first n UPDATEs, n being how many of its documents are not younger
    than T. The n-th UPDATE of that peer in the file is the same, since both have them in their order and none is
    missing. Sessions end in the file where it says so (STATE); whether the one that carried the n-th UPDATE had ended
    by T, only the archive can tell.
    """
    tales: dict[str, Tale] = defaultdict(Tale)
    for (_, peer), record in groupby(lines(file, peers), key=lambda line: (line.record, line.peer)):
        tales[peer].records.append(list(record))
    archived = await _archived(store)
    every = sorted(moment for peer in archived.values() for moment in peer.moments)
    chance = random.Random(seed)
    for number, at in enumerate(sorted(chance.choices(every, k=count))):
        asked = sorted(tales) if number % 20 == 0 else chance.sample(sorted(tales), 3)
        expected: dict[tuple[str, str], PeerEvent] = {}
        for peer in asked:
            tales[peer].go_on(archived[peer].sent(at))
            if archived[peer].was_up(at):
                expected |= {(peer, prefix): one for prefix, one in tales[peer].stands.items()}
        questions = [RibQuery(at=at)] if len(asked) == len(tales) else [RibQuery(at=at, peer=peer) for peer in asked]
        found: dict[tuple[str, str], PeerEvent] = {}
        for question in questions:
            found |= {
                (route.peer.address, route.prefix or ""): _event_of(route) async for route in rib(store, question)
            }
        assert found == expected, at


class Archived:
    """When a peer said each of its UPDATEs, by the archive's clock, and when the session of each ended."""

    def __init__(self) -> None:
        self.moments: list[datetime] = []
        self.ends: list[datetime] = []

    def sent(self, at: datetime) -> int:
        """The number of UPDATEs that the peer had sent by then."""
        return bisect_right(self.moments, at)

    def was_up(self, at: datetime) -> bool:
        """Whether the session of the last UPDATE was still up then."""
        sent = self.sent(at)
        return sent > 0 and at < self.ends[sent - 1]


async def _archived(store: Store) -> dict[str, Archived]:
    ends = {session["_id"]: session["until"] async for session in store.find("sessions", {})}
    archived: dict[str, Archived] = defaultdict(Archived)
    async for update in store.find("updates", {}, sort=[("_id", 1)], fields=("ts", "peer", "session")):
        archived[update["peer"]["address"]].moments.append(update["ts"])
        archived[update["peer"]["address"]].ends.append(ends[update["session"]])
    return archived


def _event_of(route: Route) -> PeerEvent:
    return PeerEvent(
        route.peer.address,
        "announce",
        route.as_path or "",
        route.next_hop or "",
        route.origin or "",
        route.med or 0,
        frozenset(route.communities or ()),
    )
