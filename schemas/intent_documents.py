"""The documents of intents and of refused orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypedDict, cast

from bson import ObjectId

from schemas.document_model import VERSION
from schemas.intents import Intent, Refusal, StateName
from schemas.stored import StoredDocument


class IntentStateDocument(TypedDict):
    """A state that an intent reached; see `schemas.intents.IntentState`."""

    state: StateName
    ts: datetime
    peer: NotRequired[str]
    who: NotRequired[str]
    reason: NotRequired[str]


class IntentDocument(StoredDocument):
    """A document of `intents`; see `schemas.intents.Intent`."""

    prefix: str
    """As in `announcement`, for an index."""
    number: int
    announcement: Mapping[str, object]
    """A model of `schemas.announcements`."""
    peers: Sequence[str]
    asns: NotRequired[Sequence[int]]
    group: NotRequired[str]
    who: str
    why: str
    source: str
    key: NotRequired[str]
    created: datetime
    expires: NotRequired[datetime]
    state: StateName
    states: Sequence[IntentStateDocument]


class RefusalDocument(StoredDocument):
    """A document of `refusals`; see `schemas.intents.Refusal`."""

    number: int
    ts: datetime
    who: str
    source: str
    why: str
    order: str
    cause: str
    cure: str


def intent_document(intent: Intent) -> IntentDocument:
    """The document of an intent; see `collector.acting`."""
    body = intent.model_dump(exclude_none=True, exclude={"id"})
    return cast(
        "IntentDocument",
        {"_id": ObjectId(intent.id), "v": VERSION, "prefix": intent.announcement.prefix, **body},
    )


def to_intent(document: IntentDocument) -> Intent:
    """The intent from a document of `intents`."""
    body = {key: value for key, value in document.items() if key not in ("_id", "v", "prefix")}
    return Intent.model_validate({"id": str(document["_id"]), **body})


def refusal_document(refusal: Refusal) -> RefusalDocument:
    """The document of an order that was refused."""
    body = refusal.model_dump(exclude={"id"})
    return cast("RefusalDocument", {"_id": ObjectId(refusal.id), "v": VERSION, **body})
