"""Keeps the documents of sessions up to date, with as few writes as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bson import ObjectId

from collector.store.mongo import Store
from collector.store.writes import DocumentChange
from schemas.stored import SessionDocument


class SessionDocuments:
    """Writes sessions as they change.

    Args:
        store: the store to write to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[ObjectId, SessionDocument] = {}
        """Sessions that are up, as they were last written: most fields of a session never change."""

    async def write(self, sessions: Sequence[SessionDocument]) -> None:
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

    def _changes(self, session: SessionDocument) -> Mapping[str, object] | None:
        """The fields that differ from what was written before; None if field updates cannot express the difference."""
        before = self._written.get(session["_id"])
        if before is None or before.keys() - session.keys():
            return None
        written = before.items()
        return {name: value for name, value in session.items() if (name, value) not in written}
