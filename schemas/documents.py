"""The documents of the MongoDB collections, readable in the Mongo shell.

Every document has `v`, the version of its shape, so that a later version can migrate it. A document's key is an
ObjectId made from the line's time and number: writing it twice is writing it once.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast, overload

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, TypeAdapter

from schemas.attributes import origins
from schemas.document_model import VERSION, DocumentModel
from schemas.message import Answer, ExabgpProcess, Message, SentUpdate, Update
from schemas.message_parts import Capability
from schemas.peer import Peer
from schemas.scalars import Timestamp
from schemas.stored import (
    GapCause,
    GapDocument,
    GroupDocument,
    MessageDocument,
    PeerDocument,
    RejectDocument,
    SessionDocument,
    UpdateDocument,
)

UPDATE_VERSION = 2
"""The version of documents of `updates`. 2: with `origin_asns`."""
MAX_RAW_BYTES = 1 << 20
"""How much of its line a reject keeps at most; MongoDB's own limit for a document is 16 MiB."""


class Place(NamedTuple):
    """Where a message belongs in the archive."""

    key: ObjectId
    ts: datetime
    collector: str
    session: ObjectId | None


def collection_of(message: Message) -> Literal["updates", "messages"]:
    """The collection of a message."""
    return "updates" if isinstance(message, Update) else "messages"


@overload
def to_document(message: Update, place: Place) -> UpdateDocument: ...
@overload
def to_document(message: Message, place: Place) -> UpdateDocument | MessageDocument: ...
def to_document(message: Message, place: Place) -> UpdateDocument | MessageDocument:
    """A message as a document of its collection.

    `ts` is the stored time, which never runs backwards in a spool. If the line's own time differs, because the clock
    was set back, it is in `clock`.
    """
    if isinstance(message, Update):  # nearly all messages
        update = cast("UpdateDocument", _fields_of_place(place))
        _add_update(update, message)
        set_origins(update)
        return update
    document = cast("MessageDocument", _fields_of_place(place))
    if isinstance(message, SentUpdate):
        _add_update(document, message)
        document["kind"] = message.kind
        return document
    fields: Any = message.model_dump(exclude_none=True)
    document.update(fields)
    if document["ts"] != place.ts:
        document["ts"], document["clock"] = place.ts, document["ts"]
    return document


def _fields_of_place(place: Place) -> dict[str, Any]:
    """The fields that are not the message's own, and stand first."""
    fields: dict[str, Any] = {"_id": place.key, "v": VERSION, "ts": place.ts, "collector": place.collector}
    if place.session is not None:
        fields["session"] = place.session
    return fields


def _add_update(document: UpdateDocument | MessageDocument, update: Update | SentUpdate) -> None:
    """Add the fields of an UPDATE, which were validated when its line was read, without inspecting them again."""
    source, peer = update.source, update.peer
    if not isinstance(source, ExabgpProcess):
        document["source"] = source.document.copy()
    elif source.counter is None:
        document["source"] = {"pid": source.pid}
    else:
        document["source"] = {"pid": source.pid, "counter": source.counter}
    if peer.name == peer.address:
        document["peer"] = {"address": peer.address, "asn": peer.asn}
    else:
        document["peer"] = cast("PeerDocument", peer.model_dump())
    if update.wire is not None:
        document["wire"] = update.wire
    if update.attributes is not None:
        document["attributes"] = update.attributes
    if update.announce is not None:
        document["announce"] = update.announce
    if update.withdraw is not None:
        document["withdraw"] = cast("list[GroupDocument]", update.withdraw)
    if update.ts != document["ts"]:
        document["clock"] = update.ts


def set_origins(document: UpdateDocument) -> None:
    """Add what version 2 of `updates` adds to a document: the ASes that originate the announced routes."""
    document["v"] = UPDATE_VERSION
    if "announce" not in document or "attributes" not in document:
        return
    path = document["attributes"].get("as_path")
    if path and document["announce"] and (found := origins(path)):
        document["origin_asns"] = list(found)


_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message, config=ConfigDict(defer_build=True))
_NOT_OF_THE_MESSAGE = frozenset(("_id", "v", "collector", "session", "origin_asns", "clock"))


def to_message(document: UpdateDocument | MessageDocument) -> Message:
    """The message from a document of `updates` or `messages`.

    Raises:
        pydantic.ValidationError: the document has a shape that this version does not know.
    """
    body = {key: value for key, value in document.items() if key not in _NOT_OF_THE_MESSAGE}
    body["ts"] = document.get("clock", document["ts"])
    body.setdefault("kind", "update")
    if body["kind"] == "answer":
        return Answer(text=body["text"])
    return _MESSAGE.validate_python(body)


COUNTED_CAUSES = frozenset(("pipe", "disk", "spool"))
"""Causes of gaps in ExaBGP's counters: it counted lines that never arrived."""


class Gap(DocumentModel):
    """What a peer sent between `after` and `ts` is unknown: lines were lost, cannot be parsed, or never arrived."""

    ts: Timestamp
    """The time of the first line after the gap; for a reject, of that line."""
    line: int
    """Its number in the spool."""
    peer: Peer | None = None
    """The peer of the lines; its address is that of a range if peers of a range share a counter. Absent: any peer."""
    after: Timestamp | None = None
    """The time of the last line before the gap; absent if the gap is at the very beginning."""
    lines: int | None = None
    """How many lines; absent if unknown, in which case perhaps none was lost."""
    cause: GapCause
    reason: str | None = None
    """For `disk`: the system's error. For `reject`: why the line cannot be parsed. For `router`: why its messages are
    missing."""

    def to_document(self) -> GapDocument:
        """The document as MongoDB stores it."""
        document: GapDocument = self._stored()
        return document


class SessionNotification(BaseModel):
    """The NOTIFICATION (RFC 4271 4.5) that ended a session."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    direction: Literal["sent", "received"]
    """`sent`: by ExaBGP to the peer."""
    code: int
    subcode: int
    data: str = ""
    """In hexadecimal, the first 512 bytes."""


class Resent(BaseModel):
    """The whole table of one family, sent again by a router after a gap: routes that it did not repeat are gone."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    family: str
    begin: Timestamp
    end: Timestamp
    """From then on the gap before it leaves nothing uncertain."""


class Session(DocumentModel):
    """One BGP session from Established to its end; `until` is absent while it is up."""

    peer: Peer
    local: Peer | None = None
    since: Timestamp
    began: Literal["up", "seen", "table"]
    """`up`: the source reported it. `seen`: its first message came without that report, which was lost. `table`: the
    first information about it was its table in a RIB dump."""
    until: Timestamp | None = None
    until_line: int | None = None
    """The line of the spool that reported the end: its place among others of that time."""
    ended_by: Literal["peer", "exabgp", "router", "collector"] | None = None
    """`peer`: it sent a NOTIFICATION or closed the connection, or the network to it failed. `exabgp`: ExaBGP sent a
    NOTIFICATION (hold timer, malformed message) or failed itself; `router`: the router, or route collector, that
    reports it did.
    `collector`: the collector was stopped, restarted or reconfigured, which says nothing about the peer."""
    reason: str | None = None
    """As text: `NOTIFICATION received: Cease / Administrative Reset: for maintenance`."""
    notification: SessionNotification | None = None
    """The NOTIFICATION that `reason` describes."""
    router_id: str | None = None
    """The peer's BGP identifier, from its OPEN."""
    hold_time: int | None = None
    """Seconds, as offered by the peer."""
    capabilities: list[Capability] | None = None
    exabgp_pid: int | None = None
    """The ExaBGP process that had the session."""
    resent: list[Resent] | None = None
    """For a table that a router reports (RFC 7854): when it was sent again, the last hundred times."""
    last_seen: Timestamp
    last_keepalive: Timestamp | None = None
    keepalives: int = 0
    updates: int = 0
    announced: int = 0
    """Routes announced, counting replacements again."""
    withdrawn: int = 0
    families: list[str] | None = None
    """The families of the routes in its UPDATEs; absent: unknown, as in documents of bgpledger 0.2 and before."""
    path_ids: bool | None = None
    """Whether any of these routes has a path ID (RFC 7911)."""

    def to_document(self) -> SessionDocument:
        """The document as MongoDB stores it."""
        document: SessionDocument = self._stored()
        return document


class Reject(DocumentModel):
    """A line that could not be parsed or stored, with the reason."""

    ts: Timestamp
    """The time of the last line before it that had one."""
    line: int
    """Its number in the collector's spool."""
    reason: str
    offset: int | None = None
    """For a record of a file: where it starts in the uncompressed file, in bytes."""
    size: int
    """Bytes of the whole line; `raw` has the first MiB, or less if the store does not accept that."""
    raw: str | bytes

    def to_document(self) -> RejectDocument:
        """The document as MongoDB stores it."""
        document: RejectDocument = self._stored()
        return document


def make_reject(place: Place, line: int, raw: bytes, reason: str, *, binary: bool = False) -> RejectDocument:
    """The document of a rejected record.

    Args:
        place: where the record belongs.
        line: its number.
        raw: the record.
        reason: why it is rejected.
        binary: whether it is binary, even if it looks like text; a line of text is kept as text if it is UTF-8.
    """
    kept: str | bytes = raw[:MAX_RAW_BYTES]
    if not binary:
        with suppress(UnicodeDecodeError):
            kept = raw[:MAX_RAW_BYTES].decode()
    reject = Reject(
        key=place.key, collector=place.collector, ts=place.ts, line=line, reason=reason, size=len(raw), raw=kept
    )
    return reject.to_document()
