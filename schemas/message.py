"""Messages from routers, or from ExaBGP on their behalf: one tagged union, `Message`, distinguished by `kind`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from schemas.attributes import Attributes
from schemas.scalars import Asn, Family, Timestamp, Uint32, address_order


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


Rib = Literal["pre-policy", "post-policy", "local", "out-pre-policy", "out-post-policy"]
"""Which of a router's tables: Adj-RIB-In before and behind its policy (RFC 7854 4.2), Loc-RIB (RFC 9069), Adj-RIB-Out
before and behind its policy (RFC 8671)."""


def peer_name(address: str, router: str | None = None, rd: str | None = None, rib: str | None = None) -> str:
    """What tells a peer from all others: `192.0.2.1`, or `192.0.2.1 at 198.51.100.1 0:0 post-policy`.

    Its AS is no part of that: it may be another one with the next session.
    """
    if router is rd is rib is None:
        return address
    return " ".join(filter(None, (address, "at", router, rd, rib)))


def name_order(name: str) -> tuple[int, bytes, str]:
    """Where a peer stands among others: by its address, and then by where it was asked for."""
    return *address_order(name.partition(" ")[0]), name


def _is_absent(value: object) -> bool:
    return value is None


class Peer(_Model):
    """The router at the other end of a session; where another router was asked of it, also which, and of which table.

    A peer that speaks to us itself has an address and an AS alone.
    """

    address: str
    asn: Asn
    router: Annotated[str | None, Field(exclude_if=_is_absent)] = None
    """The router that was asked (RFC 7854), or that hears the peer: its address, or the name of a route collector."""
    rd: Annotated[str | None, Field(exclude_if=_is_absent)] = None
    """The peer's distinguisher at that router, `0:0` in its global instance (RFC 7854 4.2); or the name of a view."""
    rib: Annotated[Rib | None, Field(exclude_if=_is_absent)] = None
    """Which of that router's tables."""

    @cached_property
    def name(self) -> str:
        """What tells it from all others; see `peer_name`."""
        return peer_name(self.address, self.router, self.rd, self.rib)

    @cached_property
    def itself(self) -> Peer:
        """The peer of a router, whichever of its tables was asked for; a Loc-RIB is nobody's but the router's."""
        if self.rib in (None, "local"):
            return self
        return Peer(address=self.address, asn=self.asn, router=self.router, rd=self.rd)


@dataclass(slots=True)
class ExabgpProcess:
    """Where ExaBGP's lines come from: its process, and its count of lines for this neighbour.

    The counter survives reconnects: a gap in it is exactly the lines that were lost.
    """

    pid: int
    counter: int | None = None


class OtherSource(BaseModel):
    """Where the records of another source come from: its name, and whatever else it tells, by names of its own."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    name: str
    pid: ClassVar[None] = None
    counter: ClassVar[None] = None

    @cached_property
    def document(self) -> dict[str, Any]:
        """As documents have it; the same one for all."""
        return self.model_dump(exclude_none=True)


class Counted(NamedTuple):
    """What a line says of itself, whatever else it says: whose it is, and the how manieth of that neighbour."""

    peer: Peer
    pid: int | None
    counter: int | None
    kind: str | None = None
    """The line's type in ExaBGP's words, where it can be read."""
    ts: datetime | None = None
    """The line's own time, where it can be read."""
    message: Any = None
    """All that it says, where it can be read."""


class _Routes(TypedDict):
    family: Family
    """Such as `ipv4 unicast` (RFC 4760)."""


@with_config(ConfigDict(extra="forbid"))
class Withdrawn(_Routes, total=False):
    """Routes of one family withdrawn together, as documents hold them: present keys only.

    Path ID, route distinguisher and labels are those of all of them.
    """

    path_id: Uint32
    """RFC 7911 3."""
    rd: str
    """The route distinguisher (RFC 4364 4.2)."""
    labels: list[list[int]]
    """MPLS labels (RFC 8277 2), as ExaBGP prints them."""
    nlri: list[str]
    """Prefixes, normalised."""
    host_bits: list[str]
    """Prefixes of `nlri` that came with host bits set, as they came."""
    objects: list[Any]
    """Routes of families that are no prefixes (FlowSpec, EVPN, BGP-LS, ...), as ExaBGP prints them; those of BGP-LS
    with their `bytes` (hexadecimal) where the message's bytes were read."""


class Announced(Withdrawn, total=False):
    """Routes of one family announced together with one next hop."""

    next_hop: str
    """The address; of an IPv6 next hop of 32 bytes the global one, the first of the two where both are global."""
    link_local: str
    """The link-local address beside it (RFC 2545 3)."""


class _Message(_Model):
    ts: Timestamp
    """When ExaBGP wrote the line, or our receiver read it, to the millisecond; lines of one millisecond stand in the
    order of their keys."""
    source: ExabgpProcess | OtherSource


class _FromPeer(_Message):
    peer: Peer
    wire: bytes | None = None
    """The whole BGP message with its header (RFC 4271 4.1), if ExaBGP was asked to `consolidate`."""


@dataclass(slots=True)
class _UpdateFields:
    """What an UPDATE has, whoever sent it.

    Nearly all lines are one, so it is no model: its parts are as they are stored, and are checked once, where a line or
    a document is read.
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
    """An UPDATE that ExaBGP sent to the peer, read as one that it sent us: our own word, and no part of its table.

    An End-of-RIB that it sent is a `Sent`.
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
    capabilities: list[dict[str, Any]]


class Keepalive(_FromPeer):
    """KEEPALIVE (RFC 4271 4.4)."""

    kind: Literal["keepalive"] = "keepalive"


class Notification(_FromPeer):
    """NOTIFICATION (RFC 4271 4.5) that the peer sent; `data` in hexadecimal, `text` an operator's words (RFC 9003).

    Without the message's bytes ExaBGP's own words stand in both: `Shutdown Communication: "..."`.
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


class PeerOpens(TypedDict):
    """Both OPENs of a session between a router and its peer; each as `Open` has it, or its bytes if unreadable."""

    sent: dict[str, Any]
    received: dict[str, Any]


class StateChange(_FromPeer):
    """A session's state: `connected`, `up` (Established) or `down`, with ExaBGP's reason."""

    kind: Literal["state"] = "state"
    local: Peer
    router_id: str | None = None
    state: Literal["connected", "up", "down"]
    reason: str | None = None
    opens: PeerOpens | None = None
    """Of an `up` that a router tells of (RFC 7854 4.10): the OPENs that were sent and received."""


class Detail(_FromPeer):
    """What ExaBGP, or a router, tells of a neighbour beside BGP's own messages.

    `statistics` (RFC 7854 4.8) and `mirroring` (RFC 7854 4.7) are a router's.
    """

    kind: Literal["operational", "negotiated", "fsm", "signal", "statistics", "mirroring"]
    detail: dict[str, Any]


class Packet(_FromPeer):
    """A message's bytes alone, as ExaBGP prints them when asked for `packets`; parsed messages come beside it."""

    kind: Literal["packet"] = "packet"
    category: str


class Sent(_FromPeer):
    """A message that ExaBGP sent to the peer, as it prints it: no word of the peer's."""

    kind: Literal["sent"] = "sent"
    category: str
    detail: dict[str, Any]


class RouterEvent(_Message):
    """A word of a router that speaks BMP (RFC 7854) that is about none of its peers, or about its connection to us."""

    kind: Literal["router"] = "router"
    router: str
    """Its address."""
    port: int
    """Its port, which tells its connections apart."""
    event: Literal["connected", "disconnected", "initiation", "termination", "unknown"]
    """`unknown`: a BMP message of a type that we do not know."""
    reason: str | None = None
    """Of `disconnected` and `termination`: why."""
    detail: dict[str, Any] | None = None
    """What its TLVs say; those that we do not know as `tlv_NUMBER`, in hexadecimal."""


class Shutdown(_Message):
    """ExaBGP ends in good order."""

    kind: Literal["shutdown"] = "shutdown"


class ReceiverStart(_Message):
    """Our receiver began to read: of what ExaBGP said before, the line before this one is the last that we have.

    `source.pid` is ExaBGP's number; 0 if it had gone by then.
    """

    kind: Literal["helper_start"] = "helper_start"
    helper_pid: int
    incarnation: str | None = None
    """What tells ExaBGP from another one with the same process number, as in a container that was started again."""
    reloads: int | None = None
    """How often an ExaBGP was told so far to read its configuration again."""


class Reload(_Message):
    """ExaBGP was told to read its configuration again: from here on a neighbour's count may begin anew."""

    kind: Literal["reload"] = "reload"
    helper_pid: int
    reloads: int
    """How many there were, this one as well."""


class ClockSet(_Message):
    """Our receiver saw that the clock had been set since it looked last; `ts` is by the clock as it is now."""

    kind: Literal["clock"] = "clock"
    helper_pid: int
    step: float
    """By how much, in seconds; less than 0 when it was set back."""


class ReceiverEnd(_Message):
    """Our receiver has read all that ExaBGP wrote to its pipe: nothing of it is lost."""

    kind: Literal["helper_end"] = "helper_end"
    helper_pid: int


class Dropped(_Message):
    """Our receiver had no room for these lines, from `since` until `ts`."""

    kind: Literal["dropped"] = "dropped"
    helper_pid: int
    since: Timestamp
    lines: int
    bytes: int
    reason: str


class Answer(_Model):
    """ExaBGP's answer to a command: a line that is no JSON and belongs to no neighbour."""

    kind: Literal["answer"] = "answer"
    text: str


PeerMessage = (
    Update | EndOfRib | Open | Keepalive | Notification | Refresh | StateChange | Detail | Packet | Sent | SentUpdate
)
"""What a peer said, or a source of it."""
Event = Shutdown | ReceiverStart | Reload | ClockSet | ReceiverEnd | Dropped | RouterEvent
"""What a source or its receiver said of itself, or a router of itself."""

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
