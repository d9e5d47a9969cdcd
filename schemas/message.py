"""Messages from routers, or from ExaBGP on their behalf: one tagged union, `Message`, distinguished by `kind`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field

from schemas.attributes import Attributes
from schemas.json_object import JsonObject
from schemas.message_parts import Announced, Capability, PeerOpens, Withdrawn
from schemas.peer import Peer
from schemas.scalars import Asn, Family, Timestamp
from schemas.stored import OtherSourceDocument


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(slots=True)
class ExabgpProcess:
    """Where ExaBGP's lines come from: its process, and its line counter for this neighbour.

    The counter survives reconnects: a jump in it is exactly the number of lost lines.
    """

    pid: int
    counter: int | None = None


class OtherSource(BaseModel):
    """Where the records of another source come from: its name, and further fields of its own."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    name: str
    pid: ClassVar[None] = None
    counter: ClassVar[None] = None

    @cached_property
    def document(self) -> OtherSourceDocument:
        """The fields in documents, shared by all of them."""
        document: Any = self.model_dump(exclude_none=True)
        return cast("OtherSourceDocument", document)


class Counted(NamedTuple):
    """The identification of a line, whatever it says: its neighbour, and its number among the neighbour's lines."""

    peer: Peer
    pid: int | None
    counter: int | None
    kind: str | None = None
    """The line's type as ExaBGP names it, if it can be parsed."""
    ts: datetime | None = None
    """The line's own time, if it can be parsed."""
    message: Any = None
    """The whole message, if it can be parsed."""


class _Message(_Model):
    ts: Timestamp
    """When ExaBGP wrote the line, or our receiver read it, to the millisecond; lines with the same time are in the
    order of their keys."""
    source: ExabgpProcess | OtherSource


class _FromPeer(_Message):
    peer: Peer
    wire: bytes | None = None
    """The whole BGP message with its header (RFC 4271 4.1), if ExaBGP runs with `consolidate`."""


@dataclass(slots=True)
class _UpdateFields:
    """The fields of an UPDATE, whoever sent it.

    Nearly all lines are UPDATEs, so this is not a model: its parts have the stored form, and are validated once, when a
    line or a document is read.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    ts: Timestamp
    source: ExabgpProcess | OtherSource
    peer: Peer
    wire: bytes | None = None
    attributes: Attributes | None = None
    announce: list[Announced] | None = None
    withdraw: list[Withdrawn] | None = None


@dataclass(slots=True)
class Update(_UpdateFields):
    """UPDATE (RFC 4271 4.3): routes announced, routes withdrawn, or both, of any number of families."""

    kind: Literal["update"] = "update"


@dataclass(slots=True)
class SentUpdate(_UpdateFields):
    """An UPDATE that ExaBGP sent to the peer, parsed like a received one; not part of the peer's table.

    An End-of-RIB that ExaBGP sent is a `Sent`.
    """

    kind: Literal["sent_update"] = "sent_update"


class EndOfRib(_FromPeer):
    """End-of-RIB (RFC 4724 section 2): the peer has sent its whole table of one family."""

    kind: Literal["eor"] = "eor"
    family: Family


class Open(_FromPeer):
    """OPEN (RFC 4271 4.2), with its capabilities (RFC 5492) as `{code, name, ...}`."""

    kind: Literal["open"] = "open"
    local: Peer
    version: int
    asn: Asn
    hold_time: int
    router_id: str
    capabilities: list[Capability]


class Keepalive(_FromPeer):
    """KEEPALIVE (RFC 4271 4.4)."""

    kind: Literal["keepalive"] = "keepalive"


class Notification(_FromPeer):
    """NOTIFICATION (RFC 4271 4.5) that the peer sent; `data` in hexadecimal, `text` the operator's message (RFC 9003).

    Without the message's bytes, both contain ExaBGP's own text: `Shutdown Communication: "..."`.
    """

    kind: Literal["notification"] = "notification"
    code: int
    subcode: int
    data: str
    text: str | None = None


class Refresh(_FromPeer):
    """ROUTE-REFRESH (RFC 2918), or the markers of an enhanced one (RFC 7313)."""

    kind: Literal["refresh"] = "refresh"
    family: Family
    subtype: str


class StateChange(_FromPeer):
    """A session's state: `connected`, `up` (Established) or `down`, with ExaBGP's reason."""

    kind: Literal["state"] = "state"
    local: Peer
    router_id: str | None = None
    state: Literal["connected", "up", "down"]
    reason: str | None = None
    opens: PeerOpens | None = None
    """For an `up` that a router reports (RFC 7854 4.10): the OPENs that were sent and received."""


class Detail(_FromPeer):
    """What ExaBGP, or a router, reports about a neighbour besides BGP messages.

    `statistics` (RFC 7854 4.8) and `mirroring` (RFC 7854 4.7) come from a router.
    """

    kind: Literal["operational", "negotiated", "fsm", "signal", "statistics", "mirroring"]
    detail: JsonObject


class Packet(_FromPeer):
    """Only a message's bytes, as ExaBGP prints them with `packets`; the parsed message comes separately."""

    kind: Literal["packet"] = "packet"
    category: str


class Sent(_FromPeer):
    """A message that ExaBGP sent to the peer, as ExaBGP prints it; not a message of the peer."""

    kind: Literal["sent"] = "sent"
    category: str
    detail: JsonObject


class RouterEvent(_Message):
    """An event of a router that speaks BMP (RFC 7854), about itself or its connection to us, and not about a peer."""

    kind: Literal["router"] = "router"
    router: str
    """Its address."""
    port: int
    """Its port, which distinguishes its connections."""
    event: Literal["connected", "disconnected", "initiation", "termination", "unknown"]
    """`unknown`: a BMP message of a type that we do not know."""
    reason: str | None = None
    """For `disconnected` and `termination`: why."""
    detail: JsonObject | None = None
    """The contents of its TLVs; unknown ones as `tlv_NUMBER`, in hexadecimal."""


class Shutdown(_Message):
    """ExaBGP shut down properly."""

    kind: Literal["shutdown"] = "shutdown"


class ReceiverStart(_Message):
    """Our receiver started to read: the line before this one is the last that we have of what ExaBGP wrote before.

    `source.pid` is ExaBGP's process; 0 if it had ended by then.
    """

    kind: Literal["helper_start"] = "helper_start"
    helper_pid: int
    incarnation: str | None = None
    """What distinguishes ExaBGP from another process with the same number, such as after a container was restarted."""
    reloads: int | None = None
    """How often ExaBGP has been reloaded so far."""


class Reload(_Message):
    """ExaBGP was reloaded: from here on a neighbour's counter may start again."""

    kind: Literal["reload"] = "reload"
    helper_pid: int
    reloads: int
    """The number of reloads, including this one."""


class ClockSet(_Message):
    """Our receiver noticed that the clock was set; `ts` is by the new clock."""

    kind: Literal["clock"] = "clock"
    helper_pid: int
    step: float
    """By how much, in seconds; negative if it was set back."""


class ReceiverEnd(_Message):
    """Our receiver has read everything that ExaBGP wrote to its pipe: nothing is lost."""

    kind: Literal["helper_end"] = "helper_end"
    helper_pid: int
    source_ended: Literal[True] | None = None
    """Whether ExaBGP has ended too, and all sessions with it; None if that is not known."""


class Dropped(_Message):
    """Our receiver had no room for these lines, from `since` until `ts`."""

    kind: Literal["dropped"] = "dropped"
    helper_pid: int
    since: Timestamp
    lines: int
    bytes: int
    reason: str


class Answer(_Model):
    """ExaBGP's answer to a command: a line that is not JSON and belongs to no neighbour."""

    kind: Literal["answer"] = "answer"
    text: str


PeerMessage = (
    Update | EndOfRib | Open | Keepalive | Notification | Refresh | StateChange | Detail | Packet | Sent | SentUpdate
)
"""Messages from or about a peer."""
Event = Shutdown | ReceiverStart | Reload | ClockSet | ReceiverEnd | Dropped | RouterEvent
"""Events of a source, its receiver, or a router."""

Message = Annotated[
    Update
    | EndOfRib
    | Open
    | Keepalive
    | Notification
    | Refresh
    | StateChange
    | Detail
    | Packet
    | Sent
    | SentUpdate
    | RouterEvent
    | Shutdown
    | ReceiverStart
    | Reload
    | ClockSet
    | ReceiverEnd
    | Dropped
    | Answer,
    Field(discriminator="kind"),
]
