"""Keeps the documents of sessions up to date, with as few writes as possible."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from collector.store.mongo import Document, Store
from collector.store.writes import DocumentChange


class SessionDocuments:
    """Writes sessions as they change.

    Args:
        store: the store to write to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[ObjectId, Document] = {}
        """Sessions that are up, as they were last written: most fields of a session never change."""

    async def write(self, sessions: Sequence[Document]) -> None:
        """Update their documents; idempotent."""
        changed = {session["_id"]: self._changes(session) for session in sessions}
        changes = [DocumentChange({"_id": key}, fields) for key, fields in changed.items() if fields]
        whole = [session for session in sessions if changed[session["_id"]] is None]
        if await self._store.change("sessions", changes) < len(changes):  # somebody removed one of them
            whole = list(sessions)
        await self._store.replace("sessions", whole)
        for session in sessions:
            if "until" in session:
                self._written.pop(session["_id"], None)
            else:
                self._written[session["_id"]] = session

    def _changes(self, session: Document) -> Document | None:
        """The fields that differ from what was written before; None if field updates cannot express the difference."""
        before = self._written.get(session["_id"])
        if before is None or before.keys() - session.keys():
            return None
        return {name: value for name, value in session.items() if name not in before or before[name] != value}
