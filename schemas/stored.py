"""Documents as they are read: the shapes of `schemas.message` and `schemas.documents` as dictionaries.

Code that reads thousands a second uses them as they are, without a model for each; these types let mypy find a wrong
field. A field that may be absent is `NotRequired`. A query for some fields only (`Store.find(fields=...)`) returns
documents without the others.
"""

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from bson import ObjectId

from schemas.attributes import Attributes
from schemas.json_object import JsonObject
from schemas.message_parts import Announced, Capability, PeerOpens
from schemas.peer import Rib, peer_name

GapCause = Literal["pipe", "disk", "end", "spool", "reject", "session", "router", "feed", "table"]
"""`pipe`: a receiver died with the lines in ExaBGP's pipe. `disk`: the spool had no room. `end`: ExaBGP and its
receiver ended together, and it is unknown what they still had. `spool`: a part of the spool was damaged or removed.
`reject`: the line is in `rejects`, but cannot be parsed. `session`: no line is missing, but a message belongs to a
session whose beginning was not received, or which had ended. `router`: a router's BMP connection was lost, or the
router reports that it could not send everything (RFC 7854). `feed`: the live feed was not connected. `table`: the
peer's table in a RIB dump differs from what the UPDATEs before it give: some are missing."""


class PeerDocument(TypedDict):
    """The router at the other end of a session; see `schemas.peer.Peer`."""

    address: str
    asn: int
    router: NotRequired[str]
    rd: NotRequired[str]
    rib: NotRequired[Rib]


def name_of(peer: PeerDocument) -> str:
    """What identifies a peer; see `schemas.peer.peer_name`."""
    return peer_name(peer["address"], peer.get("router"), peer.get("rd"), peer.get("rib"))


class SourceDocument(TypedDict):
    """The ExaBGP process that wrote a line, and its count; see `schemas.message.ExabgpProcess`."""

    pid: int
    counter: NotRequired[int]


class OtherSourceDocument(TypedDict):
    """Where a record of another source came from; see `schemas.message.OtherSource`, which may have further fields."""

    name: str


GroupDocument = Announced
"""Routes of one family, announced with one next hop, or withdrawn, without a next hop."""


class StoredDocument(TypedDict):
    """What documents have in common."""

    _id: ObjectId
    v: int
    collector: str


class UpdateDocument(StoredDocument):
    """A document of `updates`; see `schemas.message.Update` and `schemas.documents.to_document`."""

    ts: datetime
    clock: NotRequired[datetime]
    session: NotRequired[ObjectId]
    source: SourceDocument | OtherSourceDocument
    peer: PeerDocument
    wire: NotRequired[bytes]
    """The whole BGP message with its header (RFC 4271 4.1), with `wire_bytes = true`."""
    attributes: NotRequired[Attributes]
    announce: NotRequired[list[GroupDocument]]
    """By family and next hop."""
    withdraw: NotRequired[list[GroupDocument]]
    """By family; without next hops."""
    origin_asns: NotRequired[list[int]]
    """The origin ASes of `attributes.as_path`, for an index."""


class MessageDocument(StoredDocument):
    """A document of `messages`; `kind` tells which fields of which model of `schemas.message` it has."""

    ts: datetime
    clock: NotRequired[datetime]
    kind: str
    session: NotRequired[ObjectId]
    source: NotRequired[SourceDocument | OtherSourceDocument]
    peer: NotRequired[PeerDocument]
    local: NotRequired[PeerDocument]
    wire: NotRequired[bytes]
    attributes: NotRequired[Attributes]
    announce: NotRequired[list[GroupDocument]]
    withdraw: NotRequired[list[GroupDocument]]
    family: NotRequired[str]
    version: NotRequired[int]
    asn: NotRequired[int]
    hold_time: NotRequired[int]
    router_id: NotRequired[str]
    capabilities: NotRequired[list[Capability]]
    code: NotRequired[int]
    subcode: NotRequired[int]
    data: NotRequired[str]
    text: NotRequired[str]
    subtype: NotRequired[str]
    state: NotRequired[Literal["connected", "up", "down"]]
    reason: NotRequired[str]
    opens: NotRequired[PeerOpens]
    router: NotRequired[str]
    port: NotRequired[int]
    event: NotRequired[Literal["connected", "disconnected", "initiation", "termination", "unknown"]]
    detail: NotRequired[JsonObject]
    category: NotRequired[str]
    helper_pid: NotRequired[int]
    incarnation: NotRequired[str]
    reloads: NotRequired[int]
    source_ended: NotRequired[Literal[True]]
    step: NotRequired[float]
    since: NotRequired[datetime]
    lines: NotRequired[int]
    bytes: NotRequired[int]


class RejectDocument(StoredDocument):
    """A document of `rejects`; see `schemas.documents.Reject`."""

    ts: datetime
    line: int
    reason: str
    offset: NotRequired[int]
    size: int
    raw: str | bytes


LineDocument = UpdateDocument | MessageDocument | RejectDocument
"""The document of a line."""


class NotificationDocument(TypedDict):
    """The NOTIFICATION that ended a session; see `schemas.documents.SessionNotification`."""

    direction: Literal["sent", "received"]
    code: int
    subcode: int
    data: str


class ResentDocument(TypedDict):
    """A table that was sent again; see `schemas.documents.Resent`."""

    family: str
    begin: datetime
    end: datetime


class SessionDocument(StoredDocument):
    """A document of `sessions`; see `schemas.documents.Session`."""

    peer: PeerDocument
    local: NotRequired[PeerDocument]
    since: datetime
    began: Literal["up", "seen", "table"]
    until: NotRequired[datetime]
    until_line: NotRequired[int]
    ended_by: NotRequired[Literal["peer", "exabgp", "router", "collector"]]
    reason: NotRequired[str]
    notification: NotRequired[NotificationDocument]
    router_id: NotRequired[str]
    hold_time: NotRequired[int]
    capabilities: NotRequired[list[Capability]]
    exabgp_pid: NotRequired[int]
    resent: NotRequired[list[ResentDocument]]
    last_seen: datetime
    last_keepalive: NotRequired[datetime]
    keepalives: int
    updates: int
    announced: int
    withdrawn: int
    families: NotRequired[list[str]]
    path_ids: NotRequired[bool]


class GapDocument(StoredDocument):
    """A document of `gaps`; see `schemas.documents.Gap`."""

    ts: datetime
    line: int
    peer: NotRequired[PeerDocument]
    after: NotRequired[datetime]
    lines: NotRequired[int]
    cause: GapCause
    reason: NotRequired[str]


class PartDocument(TypedDict):
    """Which part of a stored table; see `schemas.snapshots.SnapshotPart`."""

    key: ObjectId
    routes: int
    first: bytes
    last: bytes


class SnapshotDocument(StoredDocument):
    """A document of `snapshots`; see `schemas.snapshots.Snapshot`."""

    peer: PeerDocument
    session: ObjectId
    ts: datetime
    written: datetime
    complete: bool
    base: NotRequired[ObjectId]
    dump: NotRequired[str]
    updates: int
    routes: int
    standing: NotRequired[dict[str, int]]
    parts: list[PartDocument]


class SnapshotPartDocument(TypedDict):
    """A document of `snapshot_parts`: some thousands of routes, packed (`collector.rib.pages`)."""

    _id: ObjectId
    v: int
    snapshot: ObjectId
    part: NotRequired[int]
    routes: bytes
