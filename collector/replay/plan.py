"""The plan for replaying an MRT file: its peers, the sessions of each, and the capabilities each session needs.

The file is read for the plan before anything is sent: a session's OPEN must offer what its last UPDATE needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Final

from collector.bgp import messages as bgp
from collector.bgp import mrt, mrt_messages
from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family, family_name
from collector.bgp.mrt_messages import MrtMessage, MrtPeer, MrtStateChange
from collector.bgp.open_messages import Abilities
from collector.errors import ReplayError, UsageError
from schemas.status import ReplayedPeer

FIRST_SOURCE: Final = IPv4Address("127.0.1.1")
_LOOPBACK: Final = IPv4Network("127.0.0.0/8")
_ESTABLISHED: Final = 6  # RFC 6396 section 4.4.1
# More families in one session than all daemons support together would not fit into an OPEN's optional parameters.
_MOST_FAMILIES: Final = 16


@dataclass(slots=True)
class LeftOut:
    """What of a file cannot be played; filled while it is planned.

    Attributes:
        records: by fault, the number of records, and the number of the first one.
        rest: why nothing can be read after some record: the file is truncated or damaged there.
    """

    records: dict[str, tuple[int, int]] = field(default_factory=dict)
    rest: ReplayError | None = None

    def add(self, record: int, what: str) -> None:
        """Count a record."""
        count, first = self.records.get(what, (0, record))
        self.records[what] = count + 1, first


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """One BGP session of a peer: it begins with the UPDATE in record `first_record`, and needs `abilities`."""

    first_record: int
    abilities: Abilities


@dataclass(frozen=True, slots=True)
class PlannedPeer:
    """One peer of the file, and how it will be played.

    Attributes:
        address: the peer's address in the file.
        asn: its AS number, which our OPEN has.
        source: the loopback address that its sessions come from: the neighbour that the daemon must be configured with.
        messages: BGP messages from this peer in the file.
        updates: the UPDATEs among them, which will be sent.
        families: the families of their routes, in ExaBGP's words.
        add_path: whether some of these routes have path identifiers.
        sessions: one, or more if a session in the file ended and another began.
    """

    address: str
    asn: int
    source: str
    messages: int
    updates: int
    families: tuple[str, ...]
    add_path: bool
    sessions: tuple[PlannedSession, ...]

    @property
    def key(self) -> MrtPeer:
        """The peer as in its records."""
        return MrtPeer(self.address, self.asn)

    def __str__(self) -> str:
        return f"{self.address} AS{self.asn} (from {self.source})"

    def as_answer(self) -> ReplayedPeer:
        """What `replay --plan` prints."""
        return ReplayedPeer(
            address=self.address,
            asn=self.asn,
            source=self.source,
            messages=self.messages,
            updates=self.updates,
            families=list(self.families),
            add_path=self.add_path,
            sessions=len(self.sessions),
        )


def plan(
    path: Path, *, only_peer: str | None = None, source: str | None = None, left_out: LeftOut | None = None
) -> list[PlannedPeer]:
    """Read a file and plan the sessions of its replay.

    Peers are in the order of their first message, and each gets the next source address from 127.0.1.1 upwards; a peer
    selected by `only_peer` keeps the source that it has among all. A peer without any message (only state changes) has
    no session, and neither has one with AS 0, which RFC 7607 forbids.

    Args:
        path: an MRT update file.
        only_peer: the address of the only peer wanted (all its AS numbers).
        source: the source address of the first peer that is played.
        left_out: filled with what will not be played.

    Raises:
        ReplayError: nothing of the file can be replayed.
        UsageError: there is no such peer, or `source` is not an IPv4 address.
    """
    left_out = left_out or LeftOut()
    survey = list(_survey(path, left_out).items())
    if not survey:
        what = "".join(f"; record {first} {fault}" for fault, (_, first) in list(left_out.records.items())[:1])
        raise ReplayError(
            f"{path} holds no BGP messages from any peer that can be played{what}", "nothing can be replayed from it"
        )
    sources = _sources(FIRST_SOURCE, len(survey))
    planned = [peer.planned(key, address) for (key, peer), address in zip(survey, sources, strict=True)]
    if only_peer is not None:
        planned = _chosen(path, planned, only_peer)
    if source is None:
        return planned
    sources = _sources(_ipv4("--source", source), len(planned))
    return [replace(peer, source=address) for peer, address in zip(planned, sources, strict=True)]


def session_ends(record: mrt_messages.Record, *, carried: bool) -> bool:
    """Whether a record ends the session of its peer.

    That is a NOTIFICATION in either direction, a state change out of Established, and an OPEN from the peer of a
    session that has already had UPDATEs (its end is then missing in the file).
    """
    if isinstance(record, MrtStateChange):
        return record.old == _ESTABLISHED != record.new
    kind = record.data[18]
    return kind == bgp.NOTIFICATION or (kind == bgp.OPEN and carried and not record.local)


@dataclass(slots=True)
class _SurveyedSession:
    """A session of the file during the survey."""

    first_record: int
    as4: bool
    plain: set[Family] = field(default_factory=set)
    add_path: set[Family] = field(default_factory=set)
    extended: bool = False
    ipv6_next_hops: set[Family] = field(default_factory=set)

    def fits(self, message: MrtMessage, families: set[Family]) -> bool:
        """Whether this message fits into the session too: what is negotiated at its start applies to its end."""
        return self.as4 == message.as4 and not families & (self.plain if message.add_path else self.add_path)

    def add(self, message: MrtMessage, families: set[Family]) -> None:
        (self.add_path if message.add_path else self.plain).update(families)
        self.ipv6_next_hops |= bgp.ipv6_next_hops(message.data)
        self.extended = self.extended or len(message.data) > bgp.MAXIMUM_LENGTH

    def planned(self, default: Family) -> PlannedSession:
        families = frozenset(self.plain | self.add_path) or frozenset((default,))
        abilities = Abilities(
            self.as4, families, frozenset(self.add_path), self.extended, frozenset(self.ipv6_next_hops)
        )
        return PlannedSession(self.first_record, abilities)


@dataclass(slots=True)
class _SurveyedPeer:
    messages: int = 0
    updates: int = 0
    sessions: list[_SurveyedSession] = field(default_factory=list)
    ended: bool = True

    def see(self, record: mrt_messages.Record) -> None:
        if session_ends(record, carried=not self.ended):
            self.ended = True
        if isinstance(record, MrtStateChange) or record.local:
            return
        self.messages += 1
        if record.data[18] == bgp.UPDATE:
            self.updates += 1
            self._see_update(record)

    def _see_update(self, message: MrtMessage) -> None:
        families = bgp.update_families(message.data)
        if self.ended or not self.sessions[-1].fits(message, families):
            self.sessions.append(_SurveyedSession(message.record, message.as4))
            self.ended = False
        self.sessions[-1].add(message, families)

    def planned(self, peer: MrtPeer, source: str) -> PlannedPeer:
        # A peer that only sends keepalives has a session too, with the family of its address.
        default = IPV6_UNICAST if ":" in peer.address else IPV4_UNICAST
        silent = _SurveyedSession(first_record=0, as4=True)
        seen = {family for session in self.sessions for family in session.plain | session.add_path}
        return PlannedPeer(
            address=peer.address,
            asn=peer.asn,
            source=source,
            messages=self.messages,
            updates=self.updates,
            families=tuple(family_name(family) for family in sorted(seen)),
            add_path=any(session.add_path for session in self.sessions),
            sessions=tuple(session.planned(default) for session in self.sessions or [silent]),
        )


def _survey(path: Path, left_out: LeftOut) -> dict[MrtPeer, _SurveyedPeer]:
    """What the file has of each peer that sent a message, in the order of their first messages."""
    peers: dict[MrtPeer, _SurveyedPeer] = {}
    try:
        for record in mrt.read(path, left_out.add):
            if not record.peer.asn:
                left_out.add(record.record, f"is of a peer with AS 0, {record.peer.address}: RFC 7607 forbids it")
                continue
            peer = peers.get(record.peer)
            if peer is None:
                if isinstance(record, MrtStateChange) or record.local:
                    continue
                peer = peers[record.peer] = _SurveyedPeer()
            peer.see(record)
    except mrt.CutError as damage:
        if not peers:
            raise
        left_out.rest = damage
    return {key: peer for key, peer in peers.items() if _can_be_played(key, peer, left_out)}


def _can_be_played(key: MrtPeer, peer: _SurveyedPeer, left_out: LeftOut) -> bool:
    for session in peer.sessions:
        if len(session.plain | session.add_path) > _MOST_FAMILIES:
            what = f"begins a session of {key.address} AS{key.asn} with more than {_MOST_FAMILIES} families"
            left_out.add(session.first_record, f"{what}: the peer's UPDATEs are damaged, and it is not played")
            return False
    return True


def _chosen(path: Path, planned: list[PlannedPeer], only_peer: str) -> list[PlannedPeer]:
    try:
        wanted = ip_address(only_peer)
    except ValueError:
        raise UsageError(f"--only-peer {only_peer} is not an IP address", f"Peers: {_listed(planned)}.") from None
    chosen = [peer for peer in planned if ip_address(peer.address) == wanted]
    if not chosen:
        raise UsageError(f"{path} holds no messages from a peer {only_peer}", f"It has {_listed(planned)}.")
    return chosen


def _listed(planned: list[PlannedPeer]) -> str:
    return ", ".join(f"{peer.address} (AS{peer.asn})" for peer in planned)


def _sources(first: IPv4Address, count: int) -> list[str]:
    if first in _LOOPBACK and int(first) + count - 1 >= int(_LOOPBACK.broadcast_address):
        raise UsageError(f"{count} source addresses from {first} upwards leave {_LOOPBACK}", "Give a lower --source.")
    return [str(first + index) for index in range(count)]


def _ipv4(option: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise UsageError(f"{option} {text} is not an IPv4 address", "Give one such as 127.0.1.1.") from None
