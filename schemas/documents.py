"""The documents of the MongoDB collections, readable in the Mongo shell.

Every document carries `v`, the version of its shape, so that a later version can migrate it. A document's key is
an ObjectId made of what the line says and where it stands: writing it twice is writing it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from bson import ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter

from schemas.attributes import origins
from schemas.intents import Intent, Refusal
from schemas.message import Answer, ExabgpProcess, Message, Peer, SentUpdate, Update
from schemas.scalars import Timestamp
from schemas.stored import GapCause

VERSION = 1
UPDATE_VERSION = 2
"""Of the documents of `updates`. 2: with `origin_asns`."""
TABLE_VERSION = 2
"""Of stored tables. 2: routes that are no prefixes stand there by their keys (`schemas.identity`). Older ones that have
such routes are not read, and made anew."""
MAX_RAW_BYTES = 1 << 20
"""What a reject keeps of its line at most; MongoDB's own limit for a document is 16 MiB."""


class Place(NamedTuple):
    """Where a message belongs in the archive."""

    key: ObjectId
    ts: datetime
    collector: str
    session: ObjectId | None


def collection_of(message: Message) -> Literal["updates", "messages"]:
    """The collection that a message goes to."""
    return "updates" if isinstance(message, Update) else "messages"


def to_document(message: Message, place: Place) -> dict[str, Any]:
    """A message as a document of its collection.

    `ts` is the stored time, which never runs backwards in a spool. Where the line's own time is another, because the
    clock was set back, `clock` has it.
    """
    document: dict[str, Any] = {"_id": place.key, "v": VERSION, "ts": place.ts, "collector": place.collector}
    if place.session is not None:
        document["session"] = place.session
    if isinstance(message, Update | SentUpdate):
        _add_update(document, message)
        if isinstance(message, Update):
            set_origins(document)
        else:
            document["kind"] = message.kind
        return document
    document.update(message.model_dump(exclude_none=True))
    if document["ts"] != place.ts:
        document["ts"], document["clock"] = place.ts, document["ts"]
    return document


def _add_update(document: dict[str, Any], update: Update | SentUpdate) -> None:
    """What an UPDATE says, which was checked when its line was read: nothing of it is looked at again."""
    source, peer = update.source, update.peer
    if isinstance(source, ExabgpProcess):
        document["source"] = {"pid": source.pid}
        if source.counter is not None:
            document["source"]["counter"] = source.counter
    else:
        document["source"] = source.document.copy()
    document["peer"] = {"address": peer.address, "asn": peer.asn} if peer.name == peer.address else peer.model_dump()
    if update.wire is not None:
        document["wire"] = update.wire
    if update.attributes is not None:
        document["attributes"] = update.attributes
    if update.announce is not None:
        document["announce"] = update.announce
    if update.withdraw is not None:
        document["withdraw"] = update.withdraw
    if update.ts != document["ts"]:
        document["clock"] = update.ts


def set_origins(document: dict[str, Any]) -> None:
    """Give a document of `updates` what its version 2 has more: the ASes that originate what it announces."""
    document["v"] = UPDATE_VERSION
    path = document.get("attributes", {}).get("as_path")
    if path and document.get("announce") and (found := origins(path)):
        document["origin_asns"] = list(found)


_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
_NOT_OF_THE_MESSAGE = frozenset(("_id", "v", "collector", "session", "origin_asns", "clock"))


def to_message(document: Mapping[str, Any]) -> Message:
    """The message that became this document of `updates` or `messages`.

    Raises:
        pydantic.ValidationError: the document is of a shape that this version does not know.
    """
    body = {key: value for key, value in document.items() if key not in _NOT_OF_THE_MESSAGE}
    body["ts"] = document.get("clock", document["ts"])
    body.setdefault("kind", "update")
    if body["kind"] == "answer":
        return Answer(text=body["text"])
    return _MESSAGE.validate_python(body)


DocumentKey = Annotated[ObjectId, BeforeValidator(ObjectId), PlainSerializer(str, when_used="json")]
"""A document's key; 24 hexadecimal digits in JSON."""


class _Document(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True, extra="forbid", defer_build=True)

    key: Annotated[DocumentKey, Field(alias="_id")]
    v: int = VERSION
    collector: str

    def to_document(self) -> dict[str, Any]:
        """The document as MongoDB stores it."""
        return self.model_dump(by_alias=True, exclude_none=True)


COUNTED_CAUSES = frozenset(("pipe", "disk", "spool"))
"""Of lines that ExaBGP counted and nobody has."""


class Gap(_Document):
    """What a peer said between `after` and `ts` is not known: lines are lost, or cannot be read, or never came."""

    ts: Timestamp
    """The first line behind the gap; of a reject, that line."""
    line: int
    """Its number in the spool."""
    peer: Peer | None = None
    """Whose lines; its address is that of a range where peers of a range share a counter. Without: anybody's."""
    after: Timestamp | None = None
    """The last line before the gap; none when the gap stands at the very beginning."""
    lines: int | None = None
    """How many; none when that cannot be known, and none may be lost at all."""
    cause: GapCause
    reason: str | None = None
    """Of `disk`: what the system said. Of `reject`: why the line cannot be read. Of `router`: why
    its word is missing."""


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
    """The whole table of one family, which a router has sent again behind a gap: what it did not repeat is gone."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    family: str
    begin: Timestamp
    end: Timestamp
    """From then on the gap behind which it came hides nothing any more."""


class Session(_Document):
    """One BGP session from Established to its end; `until` is absent while it is up."""

    peer: Peer
    local: Peer | None = None
    since: Timestamp
    began: Literal["up", "seen", "table"]
    """`up`: ExaBGP said so. `seen`: its first message came without that word, which was lost. `table`: the first that
    was heard of it was its table in a RIB dump."""
    until: Timestamp | None = None
    until_line: int | None = None
    """The line of the collector's spool that told of the end: its place among others of that time."""
    ended_by: Literal["peer", "exabgp", "router", "collector"] | None = None
    """`peer`: it sent a NOTIFICATION or closed the connection, or the way to it broke. `exabgp`: ExaBGP sent a
    NOTIFICATION (hold timer, malformed message) or failed itself; `router`: the router that was asked of it did.
    `collector`: we were stopped or restarted, or our configuration was changed, which says nothing of the peer."""
    reason: str | None = None
    """In words: `NOTIFICATION received: Cease / Administrative Reset: for maintenance`."""
    notification: SessionNotification | None = None
    """The NOTIFICATION that `reason` tells."""
    router_id: str | None = None
    """The peer's BGP identifier, of its OPEN."""
    hold_time: int | None = None
    """Seconds, as the peer offered them."""
    capabilities: list[dict[str, Any]] | None = None
    exabgp_pid: int | None = None
    """Of the ExaBGP that held it."""
    resent: list[Resent] | None = None
    """Of a table that a router was asked for (RFC 7854): when it came again, the last hundred times."""
    last_seen: Timestamp
    last_keepalive: Timestamp | None = None
    keepalives: int = 0
    updates: int = 0
    announced: int = 0
    """Routes announced, replacements counted again."""
    withdrawn: int = 0


def intent_document(intent: Intent) -> dict[str, Any]:
    """The document of an intent; see `collector.acting`."""
    body = intent.model_dump(exclude_none=True, exclude={"id"})
    return {"_id": ObjectId(intent.id), "v": VERSION, "prefix": intent.announcement.prefix, **body}


def to_intent(document: Mapping[str, Any]) -> Intent:
    """The intent that became this document of `intents`."""
    body = {key: value for key, value in document.items() if key not in ("_id", "v", "prefix")}
    return Intent.model_validate({"id": str(document["_id"]), **body})


def refusal_document(refusal: Refusal) -> dict[str, Any]:
    """The document of an order that was refused."""
    return {"_id": ObjectId(refusal.id), "v": VERSION, **refusal.model_dump(exclude={"id"})}


class SnapshotPart(BaseModel):
    """Some thousands of a snapshot's routes, which stand in a document of `snapshot_parts`."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, defer_build=True)

    key: DocumentKey
    """That document's."""
    routes: int
    first: bytes
    last: bytes
    """Where its first and its last route stand in the order of all."""


class Snapshot(_Document):
    """One session's table at a moment: a projection, which can be thrown away and made anew; or of a RIB dump."""

    model_config = ConfigDict(extra="ignore")  # the first ones had one field more, and are as good

    v: int = TABLE_VERSION
    peer: Peer
    session: DocumentKey
    ts: Timestamp
    """All UPDATEs before this moment are in it, none of this moment or later."""
    written: Timestamp
    """When it was made."""
    complete: bool
    """Whether all of its parts are there."""
    base: DocumentKey | None = None
    """Another snapshot, whole: then this one has only the routes that were said something of since. Without, this is
    a whole one."""
    dump: str | None = None
    """The file of the RIB dump that has this table (RFC 6396 4.2, 4.3): no UPDATEs make it anew, and it stays."""
    updates: int
    """UPDATEs of the session so far, as its document counts them."""
    routes: int
    """In its parts; of changes those that were withdrawn as well."""
    standing: dict[str, int] | None = None
    """How many routes stood at `ts`, by family: of changes those of the whole table with the changes applied. Absent
    where 0.2 or an earlier version stored it."""
    parts: list[SnapshotPart]
    """In the order of their routes."""


class Reject(_Document):
    """A line that could not be understood or stored, with the reason."""

    ts: Timestamp
    """The time of the last line before it that told one."""
    line: int
    """Its number in the collector's spool."""
    reason: str
    offset: int | None = None
    """Of a record of a file: where it begins in the unpacked file, in bytes."""
    size: int
    """Bytes of the whole line; `raw` keeps the first MiB, or less where the store does not take it."""
    raw: str | bytes


def make_reject(place: Place, line: int, raw: bytes, reason: str, *, binary: bool = False) -> dict[str, Any]:
    """The document of a rejected record.

    Args:
        place: where it belongs.
        line: its number.
        raw: the record.
        reason: why it is rejected.
        binary: whether it is no text, even if it looks like some; a line of text is kept as text where it is UTF-8.
    """
    kept: str | bytes = raw[:MAX_RAW_BYTES]
    if not binary:
        with suppress(UnicodeDecodeError):
            kept = raw[:MAX_RAW_BYTES].decode()
    reject = Reject(
        key=place.key, collector=place.collector, ts=place.ts, line=line, reason=reason, size=len(raw), raw=kept
    )
    return reject.to_document()
