"""The collections of the archive: their indexes, each with the query it serves, and their validators.

An index costs every insert; none is here for a question that nobody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

ORIGINS_SINCE = 2
"""The schema whose documents of `updates` all have their origins, and an index over them."""
VIEWS_SINCE = 3
"""The schema whose programs tell apart what several routers, or tables, have of one peer, and an index over these."""
OURS_SINCE = 4
"""The schema whose programs know what we announce ourselves: intents, and UPDATEs that were sent."""
SCHEMA_VERSION = 4
"""Raised when a collection, an index or a document changes its shape; kept in `meta`."""


_HAS_ROUTER = {"peer.router": {"$exists": True}}
_SENT = {"kind": "sent_update"}


def _index(name: str, *keys: str, only: Mapping[str, Any] | None = None) -> IndexModel:
    options = {"partialFilterExpression": only} if only else {}
    fields = [(key.lstrip("-"), DESCENDING if key.startswith("-") else ASCENDING) for key in keys]
    return IndexModel(fields, name=name, **options)


def _validator(required: Mapping[str, str]) -> dict[str, Any]:
    # Only the top level: the models have checked the rest, and each property costs every insert.
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
    """Indexes by the schema that they came with. A database of an earlier one gets them as it is migrated: to build
    one over many documents takes minutes, in which a collector could write nothing."""

    def indexes_of(self, version: int, *, partial: bool = True) -> list[IndexModel]:
        """The indexes of a database with this schema.

        Args:
            version: the schema.
            partial: also those over some documents alone, which not every server uses.
        """
        later = (one for since, those in self.later.items() if since <= version for one in those)
        return [one for one in (*self.indexes, *later) if partial or "partialFilterExpression" not in one.document]


_EVERY = {"_id": "objectId", "v": "int", "collector": "string"}

COLLECTIONS = (
    Collection(
        "updates",
        [
            # What did all peers, or one, say of a prefix; the newest entry of a peer at or before a time. Without a
            # peer the prefix alone narrows; SecantusDB's `explain` calls that a scan when a time is given too, but
            # it reads the index (20,000 documents, 474 of the prefix: 24 ms, against 492 ms for a scan).
            _index("announced", "announce.nlri", "peer.address", "ts"),
            _index("withdrawn", "withdraw.nlri", "peer.address", "ts"),
            # All that a peer said in a range of time; the routes of its session.
            _index("peer", "peer.address", "ts"),
        ],
        _validator({**_EVERY, "ts": "date", "peer": "object"}),
        later={
            # What an AS originated in a range of time, and what was withdrawn of that (collector.query.origins).
            ORIGINS_SINCE: [_index("origin", "origin_asns", "ts")],
            # What one router that was asked has of a peer, among many that have one of its address: those of Loc-RIBs
            # all have 0.0.0.0 (RFC 9069 4.1). It has nothing of peers that speak to us, and costs them nothing.
            VIEWS_SINCE: [
                _index("view", "peer.router", "peer.address", "peer.rib", "peer.rd", "ts", only=_HAS_ROUTER),
            ],
        },
    ),
    Collection(
        "messages",
        [
            # What a peer said beside UPDATEs: its OPENs, NOTIFICATIONs, state changes.
            _index("peer", "peer.address", "kind", "ts"),
            # All that was said in a range of time (collector.store.consumers); peers without a session are in none.
            _index("stored", "ts", "collector"),
        ],
        _validator({**_EVERY, "ts": "date", "kind": "string"}),
        later={
            # What we ourselves announced of a prefix, and withdrew.
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
            # Sessions that are up (no `until`), or ended in a range of time.
            _index("until", "until"),
        ],
        _validator({**_EVERY, "peer": "object", "since": "date"}),
    ),
    Collection(
        "gaps",
        [
            # What is not known of a peer's words in a range of time.
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
            # Those that are older than they are kept.
            _index("ts", "ts"),
        ],
        _validator({**_EVERY, "ts": "date", "session": "objectId", "parts": "array"}),
    ),
    Collection(
        "snapshot_parts",
        [
            # All of a snapshot, to be removed; they are read by their keys, which it names.
            _index("snapshot", "snapshot"),
        ],
        _validator({"_id": "objectId", "v": "int", "snapshot": "objectId", "routes": "binData"}),
    ),
    Collection(
        "intents",
        [
            # What was ordered of a prefix, and what stood of it at a time.
            _index("prefix", "prefix", "created"),
            # What was ordered, newest first; what stood at a time began before it.
            _index("created", "-created"),
        ],
        _validator({**_EVERY, "prefix": "string", "created": "date", "states": "array"}),
    ),
    Collection(
        "refusals",
        [
            # What was refused lately.
            _index("ts", "-ts"),
        ],
        _validator({**_EVERY, "ts": "date", "cause": "string"}),
    ),
    Collection(
        "rejects",
        [
            # What could not be understood lately.
            _index("ts", "-ts"),
        ],
        _validator({**_EVERY, "ts": "date", "reason": "string"}),
    ),
)


@dataclass(frozen=True)
class Expiry:
    """What a TTL index removes: documents of `collection` whose `field` is older than the setting `setting` says."""

    setting: str
    """A key of [retention], in days."""
    collection: str
    field: str
    direction: int
    """No other index of the collection has the same key: MongoDB does not have two of one."""
    only: Mapping[str, Any] | None = None
    """A partial index: of these documents alone."""

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
