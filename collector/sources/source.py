"""The protocol of a source of BGP messages: how its records are read, and what they tell about continuity.

A record is what the spool carries under one number: a line of text or some bytes. The spool counts them, whatever they
hold; a source reads them, knows what it wrote that never arrived, and why its sessions ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from collector.instances import Instance
from collector.settings import Settings
from schemas.documents import SessionNotification
from schemas.message import Counted, Event, Message, Notification, Peer, PeerMessage, Sent
from schemas.scalars import Timestamp
from schemas.stored import GapCause

Ask = Callable[[str, str], bool]
"""Asks the peer of a name (`schemas.message.peer_name`) to send its routes of a family (`ipv4 unicast`) again, by a
ROUTE-REFRESH (RFC 2918); False when nobody is there to pass it on."""
EndedBy = Literal["peer", "exabgp", "router", "collector"]


class Rejection(NamedTuple):
    """A record that could not be understood, and why, in one sentence."""

    reason: str


TORN = Rejection("torn: its end never came")
"""A record without its newline, whatever stands of it: whoever had no room for the rest has counted it as dropped."""


class End(NamedTuple):
    """Why a session ended, or did not come up."""

    by: EndedBy
    reason: str
    notification: SessionNotification | None = None


class Loss(NamedTuple):
    """Records that are missing ahead of one, or may be."""

    peer: Peer | None
    """Whose; its address is that of a range where peers of a range are counted together. None: anybody's."""
    after: datetime | None
    """The time of the last one before them; None when they stand at the very beginning."""
    records: int | None
    """How many; None when that cannot be known."""
    cause: GapCause
    reason: str | None = None
    """What the system said."""


class ResentTable(NamedTuple):
    """The whole table of some families, which came again."""

    peer: str
    """Whose, by its name."""
    families: Sequence[str]
    begin: datetime


class Effect(NamedTuple):
    """What a record does beside being a message."""

    losses: Sequence[Loss] = ()
    ended: str | None = None
    """Why all sessions have ended here. The source's `silence`: some time since the record before, unheard."""
    resumed: Mapping[str, Any] | None = None
    """Sessions that have these facts, and ended by a silence, go on after all."""
    names: frozenset[str] | None = None
    """Whose sessions have ended, or are resumed, by the peers' names; None: all."""
    by: EndedBy = "collector"
    """Who ended them."""
    begun: Mapping[str, Any] | None = None
    """The begin of this peer's session was heard, though it was no record of its own; what its document has of it."""
    is_late: bool = False
    """It belongs to no session: that of its peer had ended before it came."""
    goes_on: bool = False
    """This word of a session that came up tells of the one which is up."""
    resent: Sequence[ResentTable] = ()
    """Tables that have come again whole."""


NONE = Effect()
"""That of nearly every record."""


class Stranger(BaseModel):
    """A router that connects, and is no peer of ours."""

    model_config = ConfigDict(defer_build=True)

    address: str
    local: str
    """Our address, which it connected to."""
    first: Timestamp
    last: Timestamp
    times: int = 1


class RoutersHere(NamedTuple):
    """Who comes to the receiver of an instance."""

    refused: Sequence[Stranger] = ()
    connected: int | None = None
    """How many routers are connected that tell of their peers; None where no receiver lives that takes any."""


class Decoder(Protocol):
    """Reads the records of one spool in their order; what it has read may say how later ones are to be read."""

    def decode(self, raw: bytes) -> Message | Rejection:
        """Read the next record, as the source wrote it. Never raises on account of what it holds."""

    def note(self) -> Mapping[str, Any]:
        """All that has to be remembered over a restart, as JSON can hold it."""


class StatelessDecoder:
    """Reads each record for itself, see `Decoder`.

    Args:
        decode: reads one.
    """

    def __init__(self, decode: Callable[[bytes], Message | Rejection]) -> None:
        self.decode = decode

    def note(self) -> Mapping[str, Any]:
        """There is nothing to remember."""
        return {}


class Continuity(Protocol):
    """Follows the records of one spool in their order, and finds what the source told that is not among them."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """Take into account that no record has the numbers ahead of `line`.

        Returns:
            Whether that means that the spool itself has lost them, which is told then.
        """

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Take a word about the source's life, or its receiver's, into account."""

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Take into account what a peer's record says of itself, also one that cannot be read further."""

    def note(self) -> Mapping[str, Any]:
        """All that has to be remembered over a restart, as JSON can hold it."""


class Source(Protocol):
    """One kind of source. It has no state: of several instances there is one."""

    @property
    def name(self) -> str:
        """One word of small letters, for file names and keys."""

    @property
    def silence(self) -> str:
        """Why sessions ended, in words, when the source itself ended and did not say so."""

    @property
    def binary(self) -> bool:
        """Whether its records are bytes, framed in the spool (`collector.spool.framing`), and not lines of text."""

    @property
    def in_order(self) -> bool:
        """Whether its records come in the order of their times, but for a clock that was set back."""

    @property
    def has_routers(self) -> bool:
        """Whether its peers are told of by routers, or collectors, so that documents have `peer.router`."""

    def configured(self, settings: Settings) -> int:
        """How many instances of it are configured."""

    def decode(self, raw: bytes) -> Message | Rejection:
        """Read one record by itself, as the source wrote it. Never raises on account of what it holds."""

    def decoder(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Decoder:
        """Begin to read a spool's records.

        Args:
            ranges: the configured peer ranges (`192.0.2.0/24`).
            note: what `Decoder.note` gave at the position that reading starts from; empty at the very beginning.
        """

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """What a record that could not be read says of itself all the same; None if that cannot be read either.

        Args:
            raw: the record, which came whole, or its first `schemas.documents.MAX_RAW_BYTES`.
            size: bytes of the whole record.
        """

    def continuity(self, ranges: Iterable[str], note: Mapping[str, Any]) -> Continuity:
        """Begin to follow a spool's records.

        Args:
            ranges: the configured peer ranges (`192.0.2.0/24`).
            note: what `Continuity.note` gave at the position that reading starts from, perhaps with other keys
                beside it; empty at the very beginning.
        """

    def session_facts(self, message: PeerMessage) -> Mapping[str, Any]:
        """What the document of a session that begins with this message has of this source alone."""

    def heard(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message, whoever sent it; None if there is none."""

    def explain(self, reason: str | None, said: SessionNotification | None = None) -> End:
        """Why a session ended.

        Args:
            reason: the source's word in a `down`.
            said: the NOTIFICATION that was sent or received in this session, if there was one.
        """

    def asker(self, instance: Instance) -> Ask | None:
        """What asks the peers of an instance for their routes again; None where nobody can be asked."""

    def routers(self, instance: Instance) -> RoutersHere:
        """Who comes to an instance, of what its files in the data directory tell."""
