"""Migrations: a list of steps, from each schema version to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from collector.store.collections import SCHEMA_VERSION
from collector.store.mongo import Store
from collector.store.updates import updates_of_peer
from collector.store.writes import DocumentChange
from schemas.documents import UPDATE_VERSION, set_origins
from schemas.stored import SessionDocument, UpdateDocument

_SLACK = timedelta(seconds=2)
"""A clock may be changed during a session."""
_EPOCH, _NEVER = datetime.fromtimestamp(0, UTC), datetime(9999, 1, 1, tzinfo=UTC)

Read = Callable[[int, int], None]
"""Called with the number of documents that have been read, and of all."""


class Migration(NamedTuple):
    """One step."""

    version: int
    """The schema that it begins with."""
    to: int
    """The schema that it results in; indexes that are new in this schema are built after the step."""
    name: str
    """What it does, for display."""
    run: Callable[[Store, Read], Awaitable[int]]
    """Changes the documents, and returns how many. It only changes documents of the older shape, and never adds one:
    what the database has removed meanwhile must not come back. So it is harmless to repeat, and may be interrupted."""


class Watch(Protocol):
    """Follows the progress of a migration."""

    def step(self, name: str) -> None:
        """This step begins."""

    def read(self, done: int, of: int) -> None:
        """`done` of `of` documents have been read."""

    def building(self, what: str | None) -> None:
        """The progress of an index that is being built; None: it is complete."""


class Done(NamedTuple):
    """A step that is done."""

    name: str
    changed: int
    """The number of changed documents."""


async def migrate(store: Store, watch: Watch) -> Sequence[Done]:
    """Run all steps from the database's schema to this program's.

    Harmless to repeat: what was done before an interruption stays done. Collectors of this version may run meanwhile;
    those of older versions must not, and refuse the database afterwards.

    Args:
        store: the database, read from the primary.
        watch: told about the progress.

    Returns:
        The steps that were run; empty if none was needed.

    Raises:
        StoreError: the database was written by a newer bgpledger.
    """
    version = await store.meta.schema() or SCHEMA_VERSION
    done = []
    for migration in MIGRATIONS:
        if migration.version == version:
            watch.step(migration.name)
            done.append(Done(migration.name, await migration.run(store, watch.read)))
            await store.index(migration.to, watch.building)
            await store.meta.raise_schema(version, migration.to)
            version = migration.to
    return done


# --- 1 to 2: UPDATEs name their origins -------------------------------------------------------------------------------


async def _name_origins(store: Store, read: Read) -> int:
    sessions = [
        one async for one in store.find("sessions", {}, fields=("peer.address", "since", "last_seen", "updates"))
    ]
    total = sum(session["updates"] for session in sessions)
    addresses = {session["peer"]["address"] for session in sessions}
    if "sessions_days" in await store.lifetimes():
        addresses |= await store.values("updates", "peer.address")
    seen = changed = 0
    batch = (await store.traits()).batch_lines
    waiting: list[DocumentChange] = []
    for address in sorted(addresses):
        async for document in _updates(store, address, [one for one in sessions if one["peer"]["address"] == address]):
            seen += 1
            if document["v"] < UPDATE_VERSION:
                waiting.append(_with_origins(document))
            if len(waiting) == batch:
                changed += await _change(store, waiting)
                read(seen, max(seen, total))
    return changed + await _change(store, waiting)


async def _updates(store: Store, address: str, sessions: Sequence[SessionDocument]) -> AsyncIterator[UpdateDocument]:
    """A peer's UPDATEs: those of its sessions, those of expired sessions, and those that are stored meanwhile."""
    begin = min((session["since"] - _SLACK for session in sessions), default=_NEVER)
    end = max((session["last_seen"] + _SLACK for session in sessions), default=_EPOCH)
    most: int | None = sum(session["updates"] for session in sessions)
    before, after = {"$gte": _EPOCH, "$lt": begin}, {"$gte": end, "$lt": _NEVER}
    for span, direction in ((before, 1), (after, -1)):
        query = {"peer.address": address, "ts": span}
        async for other in store.find("updates", query, sort=(("ts", direction),), limit=1, fields=("ts",)):
            begin, end, most = min(begin, other["ts"]), max(end, other["ts"]), None
    end = max(end, datetime.now(UTC)) + _SLACK
    if begin < end:
        async for document in updates_of_peer(store, address, [(begin, end)], most=most):
            yield document


def _with_origins(document: UpdateDocument) -> DocumentChange:
    old = {
        "_id": document["_id"],
        "v": document["v"],
        "peer.address": document["peer"]["address"],
        "ts": document["ts"],
    }
    new = document.copy()
    set_origins(new)
    return DocumentChange(old, {name: value for name, value in new.items() if name in ("v", "origin_asns")})


async def _change(store: Store, changes: list[DocumentChange]) -> int:
    count = await store.change("updates", changes)
    changes.clear()
    return count


# --- 2 to 3: peers of which other routers were asked ------------------------------------------------------------------


async def _change_nothing(_store: Store, _read: Read) -> int:
    """Changes no document; it only locks out older programs, which would misread newer documents."""
    return 0


MIGRATIONS = (
    Migration(1, 2, "UPDATEs get their origins, and an index that serves --origin", _name_origins),
    Migration(
        2,
        3,
        "there is room for what other routers have of a peer, and an index where the server uses it",
        _change_nothing,
    ),
    Migration(3, 4, "there is room for what is announced", _change_nothing),
)
"""In order: each starts with the schema that the previous one resulted in; the last one results in SCHEMA_VERSION."""
