"""What the BGP sessions of a capture negotiated, from the OPENs of both ends or, without them, from their UPDATEs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from collector.bgp.agreement import agreed
from collector.bgp.decode import BadMessageError, decode_message
from collector.bgp.families import FAMILIES, Family
from collector.bgp.messages import HEADER_LENGTH, OPEN, UPDATE
from collector.bgp.open_messages import Abilities, parse_open
from collector.sources.pcap.connections import End, SentData
from collector.sources.pcap.framing import FramedMessage
from schemas.message_fields import MessageFields

_MOST_TRIED: Final = 1000
"""How many UPDATEs of one end are used to find out what its session negotiated."""
_DEFAULT: Final = "0.0.0.0/0"
_GUESSES: Final = tuple(
    Abilities(as4=as4, families=FAMILIES, add_path=FAMILIES if add_path else frozenset[Family]())
    for add_path, as4 in product((False, True), (True, False))
)
"""The most likely first."""


@dataclass
class CapturedSpeaker:
    """What is known about one end of a connection."""

    end: End
    opened: bytes | None = None
    """Its OPEN."""
    open_asn: int = 0
    """The AS in it."""
    faults: list[int] = field(default_factory=lambda: [0] * len(_GUESSES))
    """The number of its UPDATEs that cannot be decoded with each guess."""
    tried: int = 0
    first_asns: set[int] = field(default_factory=set)
    """The first AS of each of its paths, with the best guess."""

    @property
    def guess(self) -> Abilities:
        """The encoding that its UPDATEs seem to have."""
        return _GUESSES[self.faults.index(min(self.faults))]

    @property
    def asn(self) -> int:
        """Its AS: from its OPEN, or the AS with which all of its paths begin; 0 if they differ."""
        if self.opened:
            return self.open_asn
        return next(iter(self.first_asns)) if len(self.first_asns) == 1 else 0

    def learn(self, data: bytes) -> None:
        """Process a message."""
        if data[18] == OPEN and self.opened is None:
            try:
                self.open_asn = parse_open(data[HEADER_LENGTH:]).asn
                self.opened = data
            except ValueError:
                return  # it is rejected when it is stored, and reveals nothing
        elif data[18] == UPDATE and self.tried < _MOST_TRIED:
            self.tried += 1
            read = [_read(data, guess) for guess in _GUESSES]
            for number, decoded in enumerate(read):
                self.faults[number] += decoded is None
            best = read[self.faults.index(min(self.faults))]
            path = best.get("attributes", {}).get("as_path", "").split() if best else []
            if path and path[0].isdecimal():
                self.first_asns.add(int(path[0]))


def _read(data: bytes, guess: Abilities) -> MessageFields | None:
    """The contents of an UPDATE; None if they make no sense."""
    try:
        decoded = decode_message(data, guess)
    except BadMessageError:
        return None
    groups = (*decoded.get("announce", ()), *decoded.get("withdraw", ()))
    twice = any(group.get("nlri", []).count(_DEFAULT) > 1 for group in groups)
    return None if twice or "error" in decoded.get("attributes", {}) else decoded


class CapturedSession:
    """What is known about one connection.

    Args:
        ends: the one that sent data first, and the other.
    """

    def __init__(self, ends: tuple[End, End]) -> None:
        self.speakers = {end: CapturedSpeaker(end) for end in ends}

    @property
    def is_opened(self) -> bool:
        """Whether the OPENs of both ends are known."""
        return all(one.opened for one in self.speakers.values())

    def learn(self, sent: SentData) -> None:
        """Process data."""
        speaker = self.speakers[sent.sender]
        if isinstance(sent.what, FramedMessage) and not self.is_opened:
            speaker.learn(sent.what.data)

    def agreed(self, sender: End, receiver: End) -> Abilities:
        """How one end's UPDATEs are encoded (RFC 6793, RFC 7911)."""
        one, other = self.speakers[sender].opened, self.speakers[receiver].opened
        if one is None or other is None:
            return self.speakers[sender].guess
        return agreed(other, one)

    def words(self) -> Iterator[str]:
        """What had to be guessed, a sentence for each end."""
        if self.is_opened:
            return
        for (sender, speaker), (receiver, _other) in zip(
            self.speakers.items(), reversed(self.speakers.items()), strict=True
        ):
            if speaker.tried:
                width = 4 if speaker.guess.as4 else 2
                paths = ", path identifiers" if speaker.guess.add_path else ""
                yield (
                    f"{sender[0]} to {receiver[0]}: the OPENs of both ends are not in the capture; taken from"
                    f" {speaker.tried:,} UPDATEs: AS {speaker.asn or 'unknown'}, AS numbers of {width} bytes{paths}"
                )
