"""The collection `meta`: the schema version, which collectors write, up to which line, and the positions of consumers.

Decisions depend on it, so it is read from the primary, with read concern majority, and only changed by atomic steps
that add to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from collector.errors import StoreError
from collector.store.collections import SCHEMA_VERSION
from collector.store.driver import Document
from collector.store.failures import errors_of
from schemas.keys import collector_number
from schemas.meta import (
    ClaimDocument,
    ClaimFacts,
    ConsumerDocument,
    ImportDocument,
    ImportFacts,
    ImportProgress,
    NumberDocument,
    PositionDocument,
    SchemaDocument,
)

_COLLECTOR = "collector:"
_IMPORT = "import:"
_CONSUMER = "consumer:"
_ATTEMPTS = 3

T = TypeVar("T")
D = TypeVar("D", bound=Mapping[str, object])
P = ParamSpec("P")


class InstancePosition(NamedTuple):
    """A position in an instance's lines, which includes this line and all before it."""

    instance: str
    """Its name in keys (`instance_name`)."""
    spool: str
    line: int
    ts: datetime
    """The stored time of the line: no later document is older, except what a receiver says when it starts."""

    def document(self) -> PositionDocument:
        """The position as it is stored for a consumer."""
        return PositionDocument(instance=self.instance, spool=self.spool, line=self.line, ts=self.ts)


def _answers(
    method: Callable[Concatenate[Meta, P], Awaitable[T]],
) -> Callable[Concatenate[Meta, P], Coroutine[Any, Any, T]]:
    """Wraps a method of `Meta` that queries the server, converting its failures to our errors."""

    @wraps(method)
    async def converted(meta: Meta, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with errors_of(meta.shown_uri):
            return await method(meta, *args, **kwargs)

    return converted


class Meta:
    """The collection `meta` of one database. Its methods raise as those of `Store` do.

    Args:
        collection: read from the primary, with read concern majority; written durably.
        shown_uri: the database's, for messages.
    """

    def __init__(self, collection: AsyncCollection[Document], shown_uri: str) -> None:
        self._collection = collection
        self.shown_uri = shown_uri

    @_answers
    async def schema(self) -> int | None:
        """The version of the database's schema; None if it is empty.

        Raises:
            StoreError: the database was written by a newer bgpledger.
        """
        found = cast("SchemaDocument | None", await self._collection.find_one({"_id": "schema"}))
        version = int(found["version"]) if found else None
        if version and version > SCHEMA_VERSION:
            raise StoreError(
                f"the database at {self.shown_uri} has schema {version}, but this program only knows {SCHEMA_VERSION}",
                "use the newer bgpledger that wrote it",
            )
        return version

    @_answers
    async def require(self, version: int, what: str) -> None:
        """Refuse a database whose schema does not support something.

        Args:
            version: the first schema that supports it.
            what: what is not supported, for the message.

        Raises:
            StoreError: the database's schema is older.
        """
        found = await self.schema()
        if found is not None and found < version:
            raise StoreError(
                f"the database at {self.shown_uri} has schema {found}, and {what} needs {version}",
                "upgrade it, which can be done while a collector runs: bgpledger db migrate",
            )

    @_answers
    async def stamp(self) -> int:
        """Record that a new database has the newest schema, unless it has one already; return its schema."""
        await self._add("schema", SchemaDocument(version=SCHEMA_VERSION))
        return await self.schema() or SCHEMA_VERSION

    @_answers
    async def raise_schema(self, version: int, to: int) -> None:
        """Record that the database has been migrated."""
        await self._collection.update_one({"_id": "schema", "version": version}, {"$set": {"version": to}})

    @_answers
    async def claim(self, collector: str, spool: str) -> None:
        """Claim a collector's name, and its number in keys, for one spool.

        If two spools shared a name, or a number, their keys could collide and a line would be lost.

        Raises:
            StoreError: another spool has the name, or another name the number.
        """
        number = collector_number(collector)
        names = [one["_id"].removeprefix(_COLLECTOR) async for one in self._claims()]
        # Names older than 0.2.0 have not claimed their numbers.
        alike = [name for name in names if collector_number(name) == number and name != collector]
        if alike and collector not in names:
            raise self._alike(collector, alike[0])
        holder = await self._add(f"number:{number:06x}", NumberDocument(collector=collector))
        if holder["collector"] != collector:
            raise self._alike(collector, holder["collector"])
        key = f"{_COLLECTOR}{collector}"
        if (await self._add(key, ClaimFacts(spool=spool)))["spool"] != spool:
            raise StoreError(
                f"the database at {self.shown_uri} has lines of another collector that is named {collector!r}",
                f'give this one a name of its own (collector = "NAME"); or, if that one\'s spool is gone for good,'
                f" db.meta.deleteOne({{_id: {key!r}}})",
            )

    @_answers
    async def claimed(self, spool: str) -> list[str]:
        """The collectors' names that a spool has claimed."""
        return [one["_id"].removeprefix(_COLLECTOR) async for one in self._claims(spool=spool)]

    # --- what is stored, and who has read it --------------------------------------------------------------------------

    @_answers
    async def note_stored(self, at: InstancePosition) -> None:
        """Record that everything up to a line is stored; never less than before."""
        query = {"_id": f"{_COLLECTOR}{at.instance}", "spool": at.spool}
        await self._collection.update_one(query, {"$max": {"stored.line": at.line, "stored.ts": at.ts}})

    @_answers
    async def reached(self) -> list[InstancePosition]:
        """The position up to which everything is stored, for each instance that has stored anything."""
        return [
            InstancePosition(one["_id"].removeprefix(_COLLECTOR), one["spool"], **one["stored"])
            async for one in self._claims(stored={"$exists": True})
        ]

    @_answers
    async def positions(self, consumer: str, otherwise: Sequence[InstancePosition]) -> dict[str, InstancePosition]:
        """A consumer's positions, by instance; a new consumer starts at `otherwise`."""
        kept = ConsumerDocument(positions={_field(one): one.document() for one in otherwise})
        found = await self._add(f"{_CONSUMER}{consumer}", kept)
        return {one["instance"]: InstancePosition(**one) for one in found["positions"].values()}

    @_answers
    async def advance(self, consumer: str, to: InstancePosition) -> None:
        """Advance a consumer's position; it never goes back, except for a new spool."""
        key, field = f"{_CONSUMER}{consumer}", f"positions.{_field(to)}"
        ahead = {"$max": {f"{field}.line": to.line, f"{field}.ts": to.ts}}
        if not (await self._collection.update_one({"_id": key, f"{field}.spool": to.spool}, ahead)).matched_count:
            await self._collection.update_one({"_id": key}, {"$set": {field: to.document()}}, upsert=True)

    # --- files that were imported -------------------------------------------------------------------------------------

    @_answers
    async def imports(self, collector: str) -> list[ImportDocument]:
        """What is recorded about each file that was imported under a collector's name."""
        return await self._imports(collector=collector)

    @_answers
    async def all_imports(self) -> list[ImportDocument]:
        """What is recorded about each imported file, under any name."""
        return await self._imports()

    @_answers
    async def dump_times(self) -> list[datetime]:
        """The times of the RIB dumps in all files, including files that are still being imported."""
        dumps = self._collection.find({"_id": {"$regex": f"^{_IMPORT}"}, "dump": True}, ["times"])
        return sorted({ts async for one in dumps for ts in one.get("times", ())})

    @_answers
    async def shorter_imports(self, collector: str, facts: ImportFacts) -> list[ImportDocument]:
        """What is recorded about files of messages that are shorter than this one, and begin at the same time."""
        alike = {"source": facts["source"], "first": facts["first"], "size": {"$lt": facts["size"]}}
        return await self._imports(collector=collector, dump={"$exists": False}, **alike)

    @_answers
    async def begin_import(
        self, collector: str, digest: str, facts: ImportFacts, shorter: ImportDocument | None = None
    ) -> ImportDocument:
        """Record that a file is being imported, and give it a number; returns the existing record if there is one.

        Args:
            collector: the name under which it is imported.
            digest: its SHA-256.
            facts: what is known of it.
            shorter: the record of the same file when it was shorter, which it continues.
        """
        key = f"{_IMPORT}{collector_number(collector):06x}:{digest}"
        if found := await self._collection.find_one({"_id": key}):
            return cast("ImportDocument", found)
        if shorter:
            await self._collection.update_one({"_id": shorter["_id"]}, {"$set": {"grown": True}})
            reached = {
                name: shorter[name]
                for name in ("number", "next_line", "note", "follows", "begins_with")
                if name in shorter
            }
            return cast("ImportDocument", await self._add(key, {**facts, "collector": collector, **reached}))
        count = await self._collection.find_one_and_update(
            {"_id": f"imports:{collector}"}, {"$inc": {"next": 1}}, upsert=True, return_document=ReturnDocument.BEFORE
        )
        added = await self._add(key, {**facts, "collector": collector, "number": count["next"] if count else 0})
        return cast("ImportDocument", added)

    @_answers
    async def note_import(self, key: str, progress: ImportProgress) -> None:
        """Record the progress of an import."""
        await self._collection.update_one({"_id": key}, {"$set": progress})

    async def _imports(self, **query: Any) -> list[ImportDocument]:
        found = self._collection.find({"_id": {"$regex": f"^{_IMPORT}"}, **query})
        return [cast("ImportDocument", one) async for one in found]

    async def _claims(self, **query: Any) -> AsyncIterator[ClaimDocument]:
        async for one in self._collection.find({"_id": {"$regex": f"^{_COLLECTOR}"}, **query}):
            yield cast("ClaimDocument", one)

    def _alike(self, collector: str, other: str) -> StoreError:
        return StoreError(
            f"the keys of {collector!r} could be those of {other!r}, which writes into the database at"
            f" {self.shown_uri} too: their names have the same 24 bits of hash",
            'give this one another name (collector = "NAME")',
        )

    async def _add(self, key: str, document: D) -> D:
        """Add a document unless its key exists; returns the document that is stored then."""
        for _attempt in range(_ATTEMPTS):
            with suppress(DuplicateKeyError):  # another process was faster
                await self._collection.update_one({"_id": key}, {"$setOnInsert": document}, upsert=True)
            if found := await self._collection.find_one({"_id": key}):
                return cast("D", found)
        raise StoreError(f"the document {key!r} of meta cannot be read", "see the server's log")


def _field(position: InstancePosition) -> str:
    """The field name of an instance, whose own name may contain dots."""
    return f"{collector_number(position.instance):06x}"
