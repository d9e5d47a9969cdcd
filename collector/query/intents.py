"""The announcements that this collector makes, or made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from collector.store.mongo import Store
from schemas.intent_documents import to_intent
from schemas.intents import Intent


async def intents(
    store: Store, *, prefix: str | None = None, at: datetime | None = None, ended: bool = False
) -> AsyncIterator[Intent]:
    """Intents, oldest first.

    Args:
        store: the archive.
        prefix: only for this prefix, normalised; includes flow specifications for it.
        at: their states at this time; None: now.
        ended: include intents with nothing left to announce at that time.
    """
    query: dict[str, Any] = {} if prefix is None else {"prefix": prefix}
    if at is not None:
        query["created"] = {"$lte": at}
    async for document in store.find("intents", query, sort=(("created", 1), ("_id", 1))):
        intent = to_intent(document)
        then = intent if at is None else intent.at(at)
        if ended or not then.is_over:
            yield then
