"""The store: MongoDB 6 or newer, or the embedded server, behind the few operations that the archive needs.

Writes are acknowledged when a majority of the servers has them in its journal. Writing a document twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, overload

import pymongo
from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    PyMongoError,
)
from pymongo.read_concern import ReadConcern

from collector.errors import StoreError
from collector.store import writes
from collector.store.collections import SCHEMA_VERSION
from collector.store.driver import Client, Driver, close, connect
from collector.store.driver import Query as Query
from collector.store.failures import errors_of
from collector.store.meta import Meta
from collector.store.reading import FindCommand, read, served
from collector.store.reading import Sort as Sort
from collector.store.traits import Traits, traits_of
from collector.store.uri import redact
from collector.store.writes import Document as Document
from collector.store.writes import DocumentChange, Writable, WriteRefusal
from collector.turns import Turn
from schemas.stored import (
    GapDocument,
    MessageDocument,
    RejectDocument,
    SessionDocument,
    SnapshotDocument,
    SnapshotPartDocument,
    UpdateDocument,
)

if TYPE_CHECKING:
    from collector.store.preparing import Lack, OnBuild, Preparer

_DURABLE = WriteConcern("majority", j=True)
_SCAN_SECONDS = 3600.0
_AT_ONCE, _AT_LEAST = 1000, 50
"""The maximum number of documents in an answer: by default a server sends 16 MiB, which take ten times that here."""


class How(TypedDict, total=False):
    """The order, number and fields of the documents to find; see `Store.find`."""

    sort: Sort
    limit: int
    fields: Sequence[str] | None


class Store:
    """A database of the archive. Use as `async with Store.open(...)`.

    Every method raises `StoreUnavailableError` when the server cannot be reached, and `StoreError` when it refuses.
    """

    def __init__(self, client: Client, uri: str, database: str, patience: float, *, primary: bool) -> None:
        self.is_primary = primary
        """Whether it reads majority-committed data from the primary."""
        self._client = client
        self._patience = patience
        self._preparing, self._narrowing = asyncio.Lock(), asyncio.Lock()
        self._traits: Traits | None = None
        self._open: set[AsyncGenerator[Document, None]] = set()
        self._primary = client.get_database(
            database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=_DURABLE,
        )
        self._database = self._primary if primary else client[database]
        self.shown_uri = redact(uri)
        self.database_name = database
        self.meta = Meta(self._primary["meta"], self.shown_uri)
        """The database's own records."""

    @cached_property
    def _preparer(self) -> Preparer:
        from collector.store.preparing import Preparer  # queries need none

        return Preparer(self._primary)

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        database: str = "bgpledger",
        driver: Driver = "pymongo",
        timeout: float = 5.0,
        primary: bool = False,
    ) -> Self:
        """A store on the server at `uri`; it connects when it is first used.

        Args:
            uri: the server, or the replica set.
            database: the database's name.
            driver: the driver.
            timeout: seconds after which a server that does not answer is given up.
            primary: read majority-committed data from the primary, whatever the URI says (`readPreference`): for
                programs that write what they derive from it. `meta` is always read in this way.
        """
        return cls(connect(uri, driver, timeout=timeout), uri, database, timeout, primary=primary)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its open cursors, on the server as well, and its connections."""
        for documents in list(self._open):
            self._open.discard(documents)
            try:
                with suppress(PyMongoError):  # the server has gone
                    await documents.aclose()
            except RuntimeError:  # another task reads it, which closes it too
                self._open.add(documents)
        await close(self._client)

    async def server_version(self) -> str:
        """The server's version: a sign of life, so a slow answer counts as none."""
        with errors_of(self.shown_uri), pymongo.timeout(self._patience):
            information = await self._client.server_info()
        own = information.get("secantusVersion")
        return f"SecantusDB {own}" if own else f"MongoDB {information['version']}"

    async def traits(self) -> Traits:
        """The limits of the server; it is asked for them once."""
        if self._traits is None:
            with errors_of(self.shown_uri):
                self._traits = traits_of(await self._client.server_info())
        return self._traits

    # --- shape --------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Create what is needed to store the first line, which is fast; idempotent.

        An empty database gets the newest schema; any other keeps its own until it is migrated.

        Raises:
            StoreError: the database was written by a newer bgpledger.
        """
        async with self._preparing:  # the archivers of several instances start together
            traits = await self.traits()
            with errors_of(self.shown_uri):
                await self._preparer.create(await self.meta.schema() or SCHEMA_VERSION, traits)
                await self.meta.stamp()

    async def maintain(
        self, days: Mapping[str, int] | None = None, on_build: OnBuild = lambda _what: None
    ) -> Sequence[Lack]:
        """Update validators, indexes and retention to what they should be, however long that takes.

        Harmless to repeat, and safe while others write or read.

        Args:
            days: the keys of [retention]; 0: for ever. None leaves retention as it is.
            on_build: called with the progress of indexes that are being built.

        Returns:
            What could not be done, because the server does not support it or the user lacks the right.
        """
        traits = await self.traits()
        with errors_of(self.shown_uri):
            version = await self.meta.schema() or SCHEMA_VERSION
            return await self._preparer.maintain(version, traits, days, on_build)

    async def index(self, version: int, on_build: OnBuild) -> None:
        """Build the missing indexes of a schema, however long that takes."""
        traits = await self.traits()
        with errors_of(self.shown_uri):
            await self._preparer.index(version, traits, on_build)

    async def lifetimes(self) -> dict[str, int]:
        """The seconds after which the server removes documents, by the key of [retention]; 'for ever' is left out."""
        with errors_of(self.shown_uri):
            return await self._preparer.lifetimes()

    # --- writes -------------------------------------------------------------------------------------------------

    async def insert(self, collection: str, documents: Sequence[Writable]) -> list[WriteRefusal]:
        """Insert documents, except those that exist; durable when it returns.

        Returns:
            The documents that can never be stored; all others are stored.
        """
        with errors_of(self.shown_uri):
            return await writes.insert(self._durable(collection), documents, self._narrowing)

    async def replace(self, collection: str, documents: Sequence[Writable]) -> None:
        """Replace the documents with these `_id`s, or insert them; durable when it returns.

        Raises:
            StoreError: one of them can never be stored; all others are stored.
        """
        with errors_of(self.shown_uri):
            refusals = await writes.replace(self._durable(collection), documents, self._narrowing)
        if refusals:
            raise StoreError(f"a document of {collection} cannot be stored: {refusals[0].reason}")

    async def change(self, collection: str, changes: Sequence[DocumentChange]) -> int:
        """Change existing documents, and add none; durable when it returns.

        Returns:
            How many of them existed.
        """
        if not changes:
            return 0
        with errors_of(self.shown_uri):
            return await writes.change(self._durable(collection), changes)

    async def remove(self, collection: str, query: Query) -> None:
        """Remove the documents that match; durable when it returns."""
        with errors_of(self.shown_uri):
            await self._durable(collection).delete_many(query)

    def _durable(self, collection: str) -> AsyncCollection[Document]:
        return self._primary[collection]

    # --- reads --------------------------------------------------------------------------------------------------

    @overload
    def find(
        self, collection: Literal["updates"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[UpdateDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["messages"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[MessageDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["sessions"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[SessionDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["gaps"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[GapDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["rejects"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[RejectDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["snapshots"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[SnapshotDocument, None]: ...

    @overload
    def find(
        self, collection: Literal["snapshot_parts"], query: Query, **how: Unpack[How]
    ) -> AsyncGenerator[SnapshotPartDocument, None]: ...

    @overload
    def find(self, collection: str, query: Query, **how: Unpack[How]) -> AsyncGenerator[Any, None]: ...

    async def find(
        self,
        collection: str,
        query: Query,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> AsyncGenerator[Any, None]:
        """The documents that match, streamed; closing the generator, or the store, closes the cursor on the server.

        Args:
            collection: the collection to search.
            query: the documents to find, as a MongoDB query.
            sort: a field, which should be indexed, and `_id`; without it the order is undefined.
            limit: the maximum number of documents; 0: all.
            fields: the fields to return; None: all.
        """
        # Merging a hundred streams holds a batch of each in memory.
        batch = max(_AT_ONCE // (len(self._open) + 1), _AT_LEAST)
        documents = read(self._database[collection], FindCommand(query, sort, limit, fields), batch)
        self._open.add(documents)
        turn = Turn()
        try:
            with errors_of(self.shown_uri):
                async for document in documents:
                    yield document
                    if turn.is_over:
                        await turn.end()
        finally:
            if documents in self._open:  # otherwise `close` closes it already
                self._open.discard(documents)
                await documents.aclose()

    async def explain(self, collection: str, query: Query, *, sort: Sort = ()) -> Document:
        """The server's plan for `find`."""
        command: Document = {"find": collection, "filter": dict(query)}
        if sort:
            command["sort"] = dict(served(sort))
        with errors_of(self.shown_uri):
            return await self._database.command("explain", command)

    async def values(self, collection: str, field: str, *queries: Query) -> set[Any]:
        """All values that a field has, in all documents or in those that match a query, however long that takes."""
        await self.server_version()  # so long a time-out also applies to finding the server
        with errors_of(self.shown_uri), pymongo.timeout(_SCAN_SECONDS):
            found = [await self._primary[collection].distinct(field, query) for query in queries or ({},)]
        return {value for values in found for value in values}

    async def sums(
        self, collection: str, query: Query, by: Any, sums: Mapping[str, Any]
    ) -> AsyncGenerator[Document, None]:
        """Sums over the documents that match, one result for each value of an expression (its `_id`), in no order.

        Args:
            collection: the collection to search.
            query: the documents to sum over, as a MongoDB query.
            by: the expression, as in `$group`.
            sums: an expression for each sum.
        """
        group = {"_id": by, **{name: {"$sum": expression} for name, expression in sums.items()}}
        with errors_of(self.shown_uri):
            cursor = await self._database[collection].aggregate([{"$match": query}, {"$group": group}])
            async with cursor:
                async for document in cursor:
                    yield document

    async def count(self, collection: str) -> int:
        """How many documents a collection holds, according to the server's metadata."""
        with errors_of(self.shown_uri):
            return await self._database[collection].estimated_document_count()
