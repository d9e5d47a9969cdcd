"""The collections of the archive: their indexes, each with the query it serves, and their validators.

An index costs every insert; each one serves a query that exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from collector.store.driver import Query

ORIGINS_SINCE = 2
"""The first schema in which all documents of `updates` have their origins, with an index over them."""
VIEWS_SINCE = 3
"""The first schema that distinguishes what several routers, or tables, have of one peer, with an index over these."""
OURS_SINCE = 4
"""The first schema with our own announcements: intents, and UPDATEs that were sent."""
SCHEMA_VERSION = 4
"""Raised when a collection, an index or a document changes its shape; kept in `meta`."""


_HAS_ROUTER = {"peer.router": {"$exists": True}}
_SENT = {"kind": "sent_update"}


def _index(name: str, *keys: str, only: Query | None = None) -> IndexModel:
    options = {"partialFilterExpression": only} if only else {}
    fields = [(key.lstrip("-"), DESCENDING if key.startswith("-") else ASCENDING) for key in keys]
    return IndexModel(fields, name=name, **options)


def _validator(required: Mapping[str, str]) -> dict[str, Any]:
    # Only the top level: the models have validated the rest, and each property slows down every insert.
    return {
        "$jsonSchema": {
            "bsonType": "object",
            "required": list(required),
            "properties": {name: {"bsonType": kind} for name, kind in required.items()},
        }
    }


@dataclass(frozen=True)
class Collection:
    """The definition of one collection."""

    name: str
    indexes: Sequence[IndexModel]
    validator: dict[str, Any]
    later: Mapping[int, Sequence[IndexModel]] = field(default_factory=dict)
    """Indexes by the schema that introduced them. A database of an earlier schema gets them when it is migrated:
    building one over many documents takes minutes, in which a collector could write nothing."""

    def indexes_of(self, version: int, *, partial: bool = True) -> list[IndexModel]:
        """The indexes of a database with this schema.

        Args:
            version: the schema.
            partial: include partial indexes, which not every server uses.
        """
        later = (one for since, those in self.later.items() if since <= version for one in those)
        return [one for one in (*self.indexes, *later) if partial or "partialFilterExpression" not in one.document]


_EVERY = {"_id": "objectId", "v": "int", "collector": "string"}

COLLECTIONS = (
    Collection(
        "updates",
        [
            # What did all peers, or one, say about a prefix; the newest entry of a peer at or before a time. Without a
            # peer only the prefix narrows the search; SecantusDB's `explain` calls that a scan when a time is given
            # too, but it reads the index (20,000 documents, 474 of the prefix: 24 ms, against 492 ms for a scan).
            _index("announced", "announce.nlri", "peer.address", "ts"),
            _index("withdrawn", "withdraw.nlri", "peer.address", "ts"),
            # All that a peer said in a time range; the routes of its session.
            _index("peer", "peer.address", "ts"),
        ],
        _validator({**_EVERY, "ts": "date", "peer": "object"}),
        later={
            # What an AS originated in a time range, and which of that was withdrawn (collector.query.origins).
            ORIGINS_SINCE: [_index("origin", "origin_asns", "ts")],
            # What one BMP router has of a peer, if many have a peer of this address: the address of every Loc-RIB is
            # 0.0.0.0 (RFC 9069 4.1). It does not contain peers that speak to us directly, and costs them nothing.
            VIEWS_SINCE: [
                _index("view", "peer.router", "peer.address", "peer.rib", "peer.rd", "ts", only=_HAS_ROUTER),
            ],
        },
    ),
    Collection(
        "messages",
        [
            # What a peer said other than UPDATEs: its OPENs, NOTIFICATIONs, state changes.
            _index("peer", "peer.address", "kind", "ts"),
            # All messages of a time range (collector.store.consumers); peers without a session have none in `sessions`.
            _index("stored", "ts", "collector"),
        ],
        _validator({**_EVERY, "ts": "date", "kind": "string"}),
        later={
            # What we announced and withdrew ourselves for a prefix.
            OURS_SINCE: [
                _index("announced_by_us", "announce.nlri", "ts", only=_SENT),
                _index("withdrawn_by_us", "withdraw.nlri", "ts", only=_SENT),
            ],
        },
    ),
    Collection(
        "sessions",
        [
            # The sessions of a peer, newest first; the one that was up at a time.
            _index("peer", "peer.address", "-since"),
            # Sessions that are up (no `until`), or ended in a time range.
            _index("until", "until"),
        ],
        _validator({**_EVERY, "peer": "object", "since": "date"}),
    ),
    Collection(
        "gaps",
        [
            # The gaps of a peer in a time range.
            _index("peer", "peer.address", "-ts"),
            _index("ts", "-ts"),
        ],
        _validator({**_EVERY, "ts": "date", "cause": "string"}),
    ),
    Collection(
        "snapshots",
        [
            # The newest table of a session at or before a time.
            _index("session", "session", "-ts"),
            # Those that are past their retention.
            _index("ts", "ts"),
        ],
        _validator({**_EVERY, "ts": "date", "session": "objectId", "parts": "array"}),
    ),
    Collection(
        "snapshot_parts",
        [
            # All parts of a snapshot, to remove them; they are read by their keys, which the snapshot lists.
            _index("snapshot", "snapshot"),
        ],
        _validator({"_id": "objectId", "v": "int", "snapshot": "objectId", "routes": "binData"}),
    ),
    Collection(
        "intents",
        [
            # What was ordered for a prefix, and which of it stood at a time.
            _index("prefix", "prefix", "created"),
            # What was ordered, newest first; what stood at a time began before it.
            _index("created", "-created"),
        ],
        _validator({**_EVERY, "prefix": "string", "created": "date", "states": "array"}),
    ),
    Collection(
        "refusals",
        [
            # The latest refusals.
            _index("ts", "-ts"),
        ],
        _validator({**_EVERY, "ts": "date", "cause": "string"}),
    ),
    Collection(
        "rejects",
        [
            # The latest rejects.
            _index("ts", "-ts"),
        ],
        _validator({**_EVERY, "ts": "date", "reason": "string"}),
    ),
)


@dataclass(frozen=True)
class Expiry:
    """What a TTL index removes: documents of `collection` whose `field` is older than the setting `setting` allows."""

    setting: str
    """A key of [retention], in days."""
    collection: str
    field: str
    direction: int
    """No other index of the collection may have the same key: MongoDB does not allow two with one key."""
    only: Query | None = None
    """For a partial index, which documents it contains."""

    @property
    def index(self) -> str:
        """The name of the index."""
        return f"expire_{self.setting.removesuffix('_days')}"


EXPIRIES = (
    Expiry("keepalives_days", "messages", "ts", ASCENDING, {"kind": "keepalive"}),
    Expiry("messages_days", "messages", "ts", DESCENDING),
    Expiry("updates_days", "updates", "ts", ASCENDING),
    # A document without the field never expires: a session that is up has no `until`.
    Expiry("sessions_days", "sessions", "until", DESCENDING),
    Expiry("rejects_days", "rejects", "ts", ASCENDING),
)
