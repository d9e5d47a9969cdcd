"""The documents of stored tables: `snapshots`, and what they say of `snapshot_parts`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from schemas.document_model import DocumentKey, DocumentModel
from schemas.peer import Peer
from schemas.scalars import Timestamp
from schemas.stored import SnapshotDocument

TABLE_VERSION = 2
"""The version of stored tables. 2: routes that are not prefixes are stored under their keys (`schemas.identity`). Older
tables with such routes are not read, and are rebuilt."""


class SnapshotPart(BaseModel):
    """Some thousands of a snapshot's routes, in a document of `snapshot_parts`."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, defer_build=True)

    key: DocumentKey
    """The key of that document."""
    routes: int
    first: bytes
    last: bytes
    """The sort keys of its first and last route."""


class Snapshot(DocumentModel):
    """One session's table at a given time: a projection, which can be dropped and rebuilt; or from a RIB dump."""

    model_config = ConfigDict(extra="ignore")  # the first ones had one more field, and are otherwise the same

    v: int = TABLE_VERSION
    peer: Peer
    session: DocumentKey
    ts: Timestamp
    """It contains all UPDATEs before this time, and none of this time or later."""
    written: Timestamp
    """When it was stored."""
    complete: bool
    """Whether all of its parts are stored."""
    base: DocumentKey | None = None
    """A whole snapshot: then this one only has the routes that changed since. Absent: this is a whole one."""
    dump: str | None = None
    """The file of the RIB dump with this table (RFC 6396 4.2, 4.3): it cannot be rebuilt from UPDATEs, and is kept."""
    updates: int
    """UPDATEs of the session up to then, as its document counts them."""
    routes: int
    """Routes in its parts; for changes including withdrawn ones."""
    standing: dict[str, int] | None = None
    """The number of routes at `ts`, by family; for changes, that of the whole table with the changes applied. Absent if
    stored by version 0.2 or earlier."""
    parts: list[SnapshotPart]
    """In the order of their routes."""

    def to_document(self) -> SnapshotDocument:
        """The document as MongoDB stores it."""
        document: SnapshotDocument = self._stored()
        return document
