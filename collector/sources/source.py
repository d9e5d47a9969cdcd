"""The protocol of a source of BGP messages: how its records are read, and what they tell about continuity.

A record is what the spool carries under one number: a line of text or some bytes. The spool counts records, whatever
they contain; a source decodes them, detects those that never arrived, and explains why its sessions ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypedDict

from pydantic import BaseModel, ConfigDict

from collector.instances import Instance
from collector.settings.model import Settings
from schemas.documents import SessionNotification
from schemas.message import Counted, Event, Message, Notification, PeerMessage, Sent
from schemas.message_parts import Capability
from schemas.notes import SourceNote
from schemas.peer import Peer
from schemas.scalars import Timestamp
from schemas.stored import GapCause

Ask = Callable[[str, str], bool]
"""Asks the peer with a name (`schemas.peer.peer_name`) to send its routes of a family (`ipv4 unicast`) again, by a
ROUTE-REFRESH (RFC 2918); False if nothing is running that could pass it on."""
EndedBy = Literal["peer", "exabgp", "router", "collector"]


class SessionFacts(TypedDict, total=False):
    """The fields of a session's document that only some sources know; see `schemas.documents.Session`."""

    exabgp_pid: int | None
    router_id: str
    hold_time: int
    capabilities: list[Capability]


class Rejection(NamedTuple):
    """A record that could not be parsed, and why, in one sentence."""

    reason: str


TORN = Rejection("torn: its end never came")
"""A record without its newline, however much of it there is: if there was no room for the rest, it was counted as
dropped."""


class End(NamedTuple):
    """Why a session ended, or did not come up."""

    by: EndedBy
    reason: str
    notification: SessionNotification | None = None


class Loss(NamedTuple):
    """Records that are, or may be, missing before one."""

    peer: Peer | None
    """The peer; its address is that of a range if peers of a range are counted together. None: any peer."""
    after: datetime | None
    """The time of the last record before them; None if there is none before them."""
    records: int | None
    """How many; None if unknown."""
    cause: GapCause
    reason: str | None = None
    """The system's error message."""


class ResentTable(NamedTuple):
    """The whole table of some families was sent again."""

    peer: str
    """The peer's name."""
    families: Sequence[str]
    begin: datetime


class Effect(NamedTuple):
    """What a record means besides the message it contains."""

    losses: Sequence[Loss] = ()
    ended: str | None = None
    """Why all sessions have ended here. If it is the source's `silence`: some time after the previous record, without a
    report."""
    resumed: SessionFacts | None = None
    """Sessions with these facts that were ended by a silence continue after all."""
    names: frozenset[str] | None = None
    """The names of the peers whose sessions have ended, or are resumed; None: all."""
    by: EndedBy = "collector"
    """Who ended them."""
    begun: SessionFacts | None = None
    """This peer's session began, though not with a record of its own; the fields for its document."""
    is_late: bool = False
    """Whether it belongs to no session: that of its peer had ended before it arrived."""
    goes_on: bool = False
    """Whether it reports the start of a session that is already up."""
    resent: Sequence[ResentTable] = ()
    """Tables that have been sent again completely."""


NONE = Effect()
"""The effect of nearly every record."""


class Stranger(BaseModel):
    """A router that connects, but is not a configured peer."""

    model_config = ConfigDict(defer_build=True)

    address: str
    local: str
    """Our address, which it connected to."""
    first: Timestamp
    last: Timestamp
    times: int = 1


class RoutersHere(NamedTuple):
    """The routers that connect to the receiver of an instance."""

    refused: Sequence[Stranger] = ()
    connected: int | None = None
    """How many routers that report their peers are connected; None if no receiver for them is running."""


class Decoder(Protocol):
    """Decodes the records of one spool in order; earlier ones may determine how later ones are decoded."""

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode the next record, as the source wrote it. Never raises because of its contents."""

    def note(self) -> SourceNote:
        """Everything that must be remembered over a restart, as JSON."""


class StatelessDecoder:
    """Decodes each record by itself, see `Decoder`.

    Args:
        decode: decodes one record.
    """

    def __init__(self, decode: Callable[[bytes], Message | Rejection]) -> None:
        self.decode = decode

    def note(self) -> SourceNote:
        """Empty: there is no state."""
        return {}


class Continuity(Protocol):
    """Follows the records of one spool in order, and detects what the source sent that is missing from them."""

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """Note that there are no records with the numbers before `line`.

        Returns:
            Whether that means that the spool itself has lost them, which is then reported.
        """

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Process an event of the source itself, or of its receiver."""

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Process what a peer's record says about itself, even if the rest of it cannot be parsed."""

    def note(self) -> SourceNote:
        """Everything that must be remembered over a restart, as JSON."""


class Source(Protocol):
    """One kind of source. It has no state: all its instances share one object."""

    @property
    def name(self) -> str:
        """One word in lower case, for file names and keys."""

    @property
    def silence(self) -> str:
        """The reason given for the end of sessions if the source itself ended without reporting it."""

    @property
    def binary(self) -> bool:
        """Whether its records are bytes, framed in the spool (`collector.spool.framing`), and not lines of text."""

    @property
    def in_order(self) -> bool:
        """Whether its records come in order of time, unless a clock was set back."""

    @property
    def has_routers(self) -> bool:
        """Whether routers, or collectors, report its peers, so that documents have `peer.router`."""

    @property
    def reports_ends(self) -> bool:
        """Whether it reports each session that a NOTIFICATION closes as `down`, and no other, right behind it."""

    def configured(self, settings: Settings) -> int:
        """How many instances of it are configured."""

    def decode(self, raw: bytes) -> Message | Rejection:
        """Decode one record by itself, as the source wrote it. Never raises because of its contents."""

    def decoder(self, ranges: Iterable[str], note: SourceNote) -> Decoder:
        """A decoder for a spool's records.

        Args:
            ranges: the configured peer ranges (`192.0.2.0/24`).
            note: what `Decoder.note` gave at the position that reading starts from; empty at the very beginning.
        """

    def counted(self, raw: bytes, size: int) -> Counted | None:
        """What can be parsed of a rejected record about the record itself; None if that cannot be parsed either.

        Args:
            raw: the record, or its first `schemas.documents.MAX_RAW_BYTES`; it arrived whole.
            size: the length of the whole record in bytes.
        """

    def continuity(self, ranges: Iterable[str], note: SourceNote) -> Continuity:
        """A `Continuity` for a spool's records.

        Args:
            ranges: the configured peer ranges (`192.0.2.0/24`).
            note: what `Continuity.note` gave at the position that reading starts from, perhaps with other keys
                beside it; empty at the very beginning.
        """

    def session_facts(self, message: PeerMessage) -> SessionFacts:
        """The fields specific to this source in the document of a session that begins with this message."""

    def notification_of(self, message: Notification | Sent) -> SessionNotification | None:
        """The NOTIFICATION in this message, whoever sent it; None if there is none."""

    def explain(self, reason: str | None, notification: SessionNotification | None = None) -> End:
        """Why a session ended.

        Args:
            reason: the reason in the source's `down`.
            notification: the NOTIFICATION that was sent or received in this session, if there was one.
        """

    def asker(self, instance: Instance) -> Ask | None:
        """The function that asks peers of an instance to send their routes again; None if that is not possible."""

    def routers(self, instance: Instance) -> RoutersHere:
        """The routers that connect to an instance, according to its files in the data directory."""
