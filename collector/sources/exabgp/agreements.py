"""What ExaBGP and each peer have negotiated for their session, as long as it is known to be the same session.

It comes from both OPENs, or from ExaBGP's line `negotiated`. ExaBGP counts the lines of a session: if one is missing,
it may have been the session's end, and another session may have begun: then nothing is known until the next OPENs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast, get_args

from pydantic import TypeAdapter

from collector.bgp.agreement import agreed
from collector.bgp.families import FAMILIES, Family, family_name
from collector.bgp.open_messages import Abilities
from schemas.json_object import JsonObject
from schemas.message import Answer, Detail, Event, Message, Open, PeerMessage, Sent
from schemas.notes import SourceNote

_OF_A_SESSION = frozenset(("update", "eor", "keepalive", "notification", "refresh", "packet"))
"""Kinds of messages that ExaBGP counts with the object with which the session began; see `counting`."""
_OF_NO_PEER = frozenset(get_args(model.model_fields["kind"].annotation)[0] for model in (*get_args(Event), Answer))
_NAMES = {family_name(family): family for family in FAMILIES}


@dataclass(slots=True)
class _AgreedPeer:
    sent: str | None = None
    """ExaBGP's OPEN, in hexadecimal, until the peer's own has arrived."""
    as4: bool | None = None
    """None: what was negotiated is unknown."""
    add_path: list[Family] = field(default_factory=list)


@dataclass(slots=True)
class _AgreementsNote:
    """Everything that must be remembered over a restart."""

    pid: int | None = None
    peers: dict[str, _AgreedPeer] = field(default_factory=dict)
    """By address."""
    counts: dict[str, int] = field(default_factory=dict)
    """The last line of a session, by neighbour: peers of a range share a counter."""


_NOTE = TypeAdapter(_AgreementsNote)


class Agreements:
    """Follows the messages of one spool.

    Args:
        neighbour_of: gives the range that contains an address, whose peers share a counter, or else the address itself.
        note: the value of `note` at the position that reading starts from.
    """

    def __init__(self, neighbour_of: Callable[[str], str], note: SourceNote) -> None:
        self._neighbour_of = neighbour_of
        self._state = _NOTE.validate_python(note) if note else _AgreementsNote()
        self._known = {
            address: _abilities(peer.as4, peer.add_path)
            for address, peer in self._state.peers.items()
            if peer.as4 is not None
        }

    def note(self) -> SourceNote:
        """The state, as JSON."""
        noted: JsonObject = _NOTE.dump_python(self._state, mode="json", exclude_defaults=True)
        return noted

    def of(self, address: str, pid: int, counter: int) -> Abilities | None:
        """What was negotiated for a message of a peer's session with this count; None if that is uncertain."""
        known = self._known.get(address)
        if known is None or pid != self._state.pid:
            return None
        return known if self._state.counts.get(self._neighbour_of(address)) == counter - 1 else None

    def follow(self, message: Message) -> None:
        """Process the next message."""
        kind = message.kind
        if kind in _OF_NO_PEER or (kind == "update" and not self._state.peers):
            return
        of_peer = cast("PeerMessage", message)
        address, source = of_peer.peer.address, of_peer.source
        if source.pid is None or source.counter is None:
            return
        if isinstance(message, Open | Sent | Detail):
            self._begin(address, source.pid, source.counter, message)
        self.count(address, source.pid, source.counter, in_session=kind in _OF_A_SESSION)

    def count(self, address: str, pid: int, counter: int, *, in_session: bool = True) -> None:
        """Process the count of a line, even of one that cannot be parsed.

        Args:
            address: the peer's address.
            pid: ExaBGP's process number.
            counter: the count.
            in_session: whether the line is counted with the session, and not with the neighbour: after a reload ExaBGP
                counts states with the new object, while the session continues with the count with which it began.
        """
        state = self._state
        name = self._neighbour_of(address)
        last = state.counts.get(name)
        if last is None:
            return
        if pid == state.pid and counter == last + 1:
            state.counts[name] = counter
        elif in_session:
            self._forget(name)

    def _begin(self, address: str, pid: int, counter: int, message: Open | Sent | Detail) -> None:
        """Process one side's OPEN, or ExaBGP's line about what was negotiated."""
        if pid != self._state.pid:
            self._state = _AgreementsNote(pid)
            self._known.clear()
        if isinstance(message, Open):
            peer = _agreed(self._state.peers.get(address), message.wire)
        elif isinstance(message, Sent) and message.category == "open":
            peer = _AgreedPeer(sent=message.wire.hex()) if message.wire else None
        elif message.kind == "negotiated" and address not in self._known:
            peer = _negotiated(message.detail)
        else:
            return
        name = self._neighbour_of(address)
        if self._state.counts.get(name) != counter - 1:
            self._forget(name)
        self._set(address, peer)
        if peer is not None:
            self._state.counts[name] = counter - 1

    def _set(self, address: str, peer: _AgreedPeer | None) -> None:
        self._known.pop(address, None)
        if peer is None:
            self._state.peers.pop(address, None)
            return
        self._state.peers[address] = peer
        if peer.as4 is not None:
            self._known[address] = _abilities(peer.as4, peer.add_path)

    def _forget(self, name: str) -> None:
        """Forget the sessions of a neighbour."""
        self._state.counts.pop(name, None)
        for address in [one for one in self._state.peers if self._neighbour_of(one) == name]:
            self._set(address, None)


def _agreed(before: _AgreedPeer | None, theirs: bytes | None) -> _AgreedPeer | None:
    if theirs is None or before is None or before.sent is None:
        return None
    try:
        both = agreed(bytes.fromhex(before.sent), theirs)
    except ValueError:
        return None
    return _AgreedPeer(as4=both.as4, add_path=sorted(both.add_path))


def _negotiated(printed: JsonObject) -> _AgreedPeer | None:
    as4, add_path = printed.get("asn4"), printed.get("add_path")
    received = add_path.get("receive") if isinstance(add_path, dict) else None
    if not isinstance(as4, bool) or not isinstance(received, list) or not all(one in _NAMES for one in received):
        return None
    return _AgreedPeer(as4=as4, add_path=sorted(_NAMES[one] for one in received))


def _abilities(as4: bool, add_path: Iterable[Family]) -> Abilities:
    return Abilities(as4=as4, families=FAMILIES, add_path=frozenset(add_path))
