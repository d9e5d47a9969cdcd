"""Which imported file follows which, and what the state of the sessions is between them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import NamedTuple

from bson import ObjectId

from collector.archive.session_tracker import SessionTracker
from collector.archive.tracker_state import STATE
from collector.sources.source import Source
from collector.store.mongo import Store
from schemas.documents import Session
from schemas.keys import FILE_BITS, FILE_RECORD_BITS
from schemas.meta import ImportDocument
from schemas.notes import ArchiverNote

FOLLOWS = timedelta(minutes=5)
"""A file that starts this soon after the end of another continues it: collectors write more often than this."""
_DUMP_FOLLOWED = timedelta(seconds=30)
"""Updates that begin at most this long before a RIB dump follow it: files may begin before their nominal time."""
SILENCE = "the files end here"
"""Why a session ended that another file may continue."""


def first_line(document: ImportDocument) -> int:
    """The number, in keys, of a file's first record."""
    return document["number"] % (1 << FILE_BITS) << FILE_RECORD_BITS


async def preceding(store: Store, document: ImportDocument) -> ImportDocument | None:
    """The imported file that a file follows, of the same source and selection; None if there is none."""
    return _newest_before(document, await store.meta.imports(document["collector"]))


async def following(store: Store, document: ImportDocument) -> ImportDocument | None:
    """The imported file of messages that follows a file next; None if there is none."""
    files = await store.meta.imports(document["collector"])
    candidates = [one for one in files if _is_done(one) and "dump" not in one]
    before = [(one, _newest_before(one, files)) for one in candidates]
    found = [one for one, its in before if its and its["_id"] == document["_id"]]
    return min(found, key=lambda one: one["first"], default=None)


def state_digest(note: ArchiverNote) -> str:
    """A digest of the sessions at the end of a file: equal if the files behind it would have the same sessions."""
    return hashlib.sha256(json.dumps(note.get("tracker"), sort_keys=True).encode()).hexdigest()


def continues(document: ImportDocument, before: ImportDocument) -> bool:
    """Whether a file's sessions are those that it has behind another file, as that one is stored now."""
    return (document.get("follows"), document.get("begins_with")) == (before["_id"], state_digest(before["note"]))


def _newest_before(document: ImportDocument, files: list[ImportDocument]) -> ImportDocument | None:
    found = [one for one in files if _is_done(one) and _follows(document, one)]
    # Of two that end at the same time, the dump was imported later, or has fewer sessions.
    return max(found, key=lambda one: (one["last"], "dump" in one), default=None)


def _is_done(one: ImportDocument) -> bool:
    return one["done"] and bool(one["last"]) and "grown" not in one


def _follows(document: ImportDocument, one: ImportDocument) -> bool:
    alike = (one["source"], one["selection"]) == (document["source"], document["selection"])
    last = one["last"]
    if not alike or last is None or one["_id"] == document["_id"]:
        return False
    # Sessions cannot begin before a dump, which ends at the time at which it begins.
    overlap = timedelta(0) if "dump" in document else _DUMP_FOLLOWED if "dump" in one else FOLLOWS
    is_earlier = "dump" in one or (one["first"], one["number"]) < (document["first"], document["number"])
    return is_earlier and last - overlap <= document["first"] <= last + FOLLOWS


class FileEnd(NamedTuple):
    """The end of a file."""

    time: datetime | None
    """That of its last record; None if nothing of it was wanted."""
    ended: Sequence[Session]
    """The sessions that are up there, as they end if no other file continues them."""
    open_ended: Set[ObjectId]
    """The keys of all sessions that records behind it may change: those that are up, or whose end may not be one."""


def end_of(source: Source, collector: str, note: ArchiverNote) -> FileEnd:
    """The end of a file with this state.

    Args:
        source: the source of the file's records.
        collector: the name under which it is imported.
        note: the state behind its last record.
    """
    if "neighbours" not in note.get("tracker", {}):
        return FileEnd(None, (), frozenset())
    tracker = SessionTracker(source, collector, note=note["tracker"], instance=source.name)
    open_ended = frozenset(session.key for session in STATE.validate_python(note["tracker"]).sessions())
    tracker.end_all(SILENCE)
    return FileEnd(tracker.time, tracker.take_changed(), open_ended)
