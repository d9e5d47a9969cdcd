"""The documents of intents and of refused orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from schemas.document_model import VERSION
from schemas.intents import Intent, Refusal


def intent_document(intent: Intent) -> dict[str, Any]:
    """The document of an intent; see `collector.acting`."""
    body = intent.model_dump(exclude_none=True, exclude={"id"})
    return {"_id": ObjectId(intent.id), "v": VERSION, "prefix": intent.announcement.prefix, **body}


def to_intent(document: Mapping[str, Any]) -> Intent:
    """The intent from a document of `intents`."""
    body = {key: value for key, value in document.items() if key not in ("_id", "v", "prefix")}
    return Intent.model_validate({"id": str(document["_id"]), **body})


def refusal_document(refusal: Refusal) -> dict[str, Any]:
    """The document of an order that was refused."""
    return {"_id": ObjectId(refusal.id), "v": VERSION, **refusal.model_dump(exclude={"id"})}
