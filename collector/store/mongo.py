"""The store: MongoDB 6 or newer, or the embedded server, behind the few operations that the ledger needs.

Writes are acknowledged when a majority has them in its journal, and writing a document twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pymongo
from bson.errors import BSONError
from pymongo import IndexModel, ReturnDocument, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConnectionFailure,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
)

from collector.errors import StoreError, StoreUnavailableError
from collector.store import writes
from collector.store.collections import COLLECTIONS, EXPIRIES, SCHEMA_VERSION, Collection, Expiry
from collector.store.driver import Client, Driver, close, connect
from collector.store.uri import redact
from collector.store.writes import Document as Document
from collector.store.writes import Refusal

_DURABLE = WriteConcern("majority", j=True)
_NOT_AUTHORISED = (13, 18)
_ALREADY_EXISTS = 48
_DAY_SECONDS = 86_400
_INDEXING_SECONDS = 86_400
"""How long an index over millions of documents may take."""
_AT_ONCE = 1000
"""Documents that an answer has at most: left to itself a server sends 16 MiB, which take ten times that here."""

Sort = Sequence[tuple[str, int]]


class Store:
    """A database of the ledger. Use as `async with Store.open(...)`.

    Every method raises `StoreUnavailableError` when the server cannot be reached, and `StoreError` when it refuses.
    """

    def __init__(self, client: Client, uri: str, database: str, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._preparing = asyncio.Lock()
        self._database = client[database]
        self.shown_uri = redact(uri)

    @classmethod
    def open(cls, uri: str, *, database: str = "bgpledger", driver: Driver = "pymongo", timeout: float = 5.0) -> Self:
        """A store on the server at `uri`; nothing is sent before it is used."""
        return cls(connect(uri, driver, timeout=timeout), uri, database, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await close(self._client)

    async def server_version(self) -> str:
        """The server's own word for its version: a sign of life, so one that does not come soon is none."""
        with self._errors(), pymongo.timeout(self._patience):
            information = await self._client.server_info()
        own = information.get("secantusVersion")
        return f"SecantusDB {own}" if own else f"MongoDB {information['version']}"

    # --- shape --------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Make the collections, validators and indexes of the database's schema; harmless when they are there.

        An empty database gets the newest schema, another keeps its own until it is migrated.

        Raises:
            StoreError: the database was written by a newer bgpledger.
        """
        async with self._preparing:  # the archivers of several lanes begin together
            with self._errors():
                await self._prepare_all()

    async def _prepare_all(self) -> None:
        schema = await self.schema()
        present = set(await self._database.list_collection_names())
        for collection in COLLECTIONS:
            await self._prepare(collection, schema or SCHEMA_VERSION, exists=collection.name in present)
        if schema is None:
            await self._set_schema()

    async def _prepare(self, collection: Collection, version: int, *, exists: bool) -> None:
        if not exists:
            try:
                await self._database.create_collection(collection.name)
            except OperationFailure as error:
                if error.code != _ALREADY_EXISTS:  # another collector was quicker
                    raise
        await self._database.command("collMod", collection.name, validator=collection.validator)
        await self._database[collection.name].create_indexes(collection.indexes_of(version))

    async def schema(self) -> int | None:
        """The version of the database's schema; None of an empty one.

        Raises:
            StoreError: the database was written by a newer bgpledger.
        """
        with self._errors():
            found = await self._database["meta"].find_one({"_id": "schema"})
        version = int(found["version"]) if found else None
        if version and version > SCHEMA_VERSION:
            raise StoreError(
                f"the database at {self.shown_uri} has schema {version}, this program knows {SCHEMA_VERSION}",
                "use the newer bgpledger that wrote it",
            )
        return version

    async def raise_schema(self) -> None:
        """Make the indexes of the newest schema, however long that takes, and write down that the database has it."""
        with self._errors(), pymongo.timeout(_INDEXING_SECONDS):
            for collection in COLLECTIONS:
                await self._database[collection.name].create_indexes(collection.indexes_of(SCHEMA_VERSION))
        await self._set_schema()

    async def _set_schema(self) -> None:
        await self.replace("meta", [{"_id": "schema", "version": SCHEMA_VERSION}])

    async def retain(self, days: Mapping[str, int]) -> None:
        """Let the server remove by itself what is older, from now on and of what is there; harmless to repeat.

        Args:
            days: the keys of [retention]; 0 keeps for ever.
        """
        with self._errors():
            present = {name: await self._lifetimes(name) for name in {expiry.collection for expiry in EXPIRIES}}
            for expiry in EXPIRIES:
                seconds = days[expiry.setting] * _DAY_SECONDS
                await self._expire(expiry, seconds, present[expiry.collection].get(expiry.index, 0))

    async def _expire(self, expiry: Expiry, seconds: int, now: int) -> None:
        """Bring one TTL index from `now` seconds to `seconds`, where 0 is no index."""
        collection = self._database[expiry.collection]
        if seconds == now:
            return
        if not seconds:
            await collection.drop_index(expiry.index)
        elif now:
            change = {"name": expiry.index, "expireAfterSeconds": seconds}
            await self._database.command("collMod", expiry.collection, index=change)
        else:
            options = {"partialFilterExpression": expiry.only} if expiry.only else {}
            key = [(expiry.field, expiry.direction)]
            index = IndexModel(key, name=expiry.index, expireAfterSeconds=seconds, **options)
            await collection.create_indexes([index])

    async def lifetimes(self) -> dict[str, int]:
        """The seconds after which the server removes documents, by the key of [retention]; those kept for ever not."""
        with self._errors():
            present = {name: await self._lifetimes(name) for name in {expiry.collection for expiry in EXPIRIES}}
        return {
            expiry.setting: present[expiry.collection][expiry.index]
            for expiry in EXPIRIES
            if expiry.index in present[expiry.collection]
        }

    async def _lifetimes(self, collection: str) -> dict[str, int]:
        """The TTL indexes of a collection, by name."""
        indexes = await self._database[collection].index_information()
        return {name: int(one["expireAfterSeconds"]) for name, one in indexes.items() if "expireAfterSeconds" in one}

    # --- writes -------------------------------------------------------------------------------------------------

    async def insert(self, collection: str, documents: Sequence[Document]) -> list[Refusal]:
        """Insert documents, those that are there already left as they are; durable when it returns.

        Returns:
            The documents that can never be stored; all others are.
        """
        with self._errors():
            return await writes.insert(self._durable(collection), documents)

    async def replace(self, collection: str, documents: Sequence[Document]) -> None:
        """Put whole documents in the place of those with their `_id`, or insert them; durable when it returns.

        Raises:
            StoreError: one of them can never be stored; all others are.
        """
        with self._errors():
            refusals = await writes.replace(self._durable(collection), documents)
        if refusals:
            raise StoreError(f"a document of {collection} cannot be stored: {refusals[0].reason}")

    async def remove(self, collection: str, query: Mapping[str, Any]) -> None:
        """Remove the documents that match; durable when it returns."""
        with self._errors():
            await self._durable(collection).delete_many(query)

    def _durable(self, collection: str) -> AsyncCollection[Document]:
        return self._database[collection].with_options(write_concern=_DURABLE)

    async def claim(self, collector: str, spool: str) -> None:
        """Take a collector's name for one spool: the keys of two of one name could collide, and one line be lost.

        Raises:
            StoreError: another spool has it.
        """
        key = f"collector:{collector}"
        meta = self._database["meta"].with_options(write_concern=_DURABLE)
        with self._errors():
            holder = await meta.find_one_and_update(
                {"_id": key}, {"$setOnInsert": {"spool": spool}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        if holder is not None and holder["spool"] != spool:
            raise StoreError(
                f"the database at {self.shown_uri} has lines of another collector that is named {collector!r}",
                f'give this one a name of its own (collector = "NAME"); or, if that one\'s spool is gone for good,'
                f" db.meta.deleteOne({{_id: {key!r}}})",
            )

    async def claimed(self, spool: str) -> list[str]:
        """The collectors' names that a spool has claimed."""
        return [one["_id"].removeprefix("collector:") async for one in self.find("meta", {"spool": spool})]

    # --- reads --------------------------------------------------------------------------------------------------

    async def find(
        self,
        collection: str,
        query: Mapping[str, Any],
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> AsyncIterator[Document]:
        """The documents that match, streamed."""
        with self._errors():
            cursor = self._database[collection].find(query, fields, limit=limit, batch_size=_AT_ONCE)
            if sort:
                cursor = cursor.sort(list(sort))
            async for document in cursor:
                yield document

    async def explain(self, collection: str, query: Mapping[str, Any], *, sort: Sort = ()) -> Document:
        """The server's plan for `find`."""
        command: Document = {"find": collection, "filter": dict(query)}
        if sort:
            command["sort"] = dict(sort)
        with self._errors():
            return await self._database.command("explain", command)

    async def count(self, collection: str) -> int:
        """How many documents a collection holds, of the server's own books."""
        with self._errors():
            return await self._database[collection].estimated_document_count()

    # --- errors -------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionFailure, NetworkTimeout) as error:
            state = "has no primary" if isinstance(error, NotPrimaryError) else "does not answer"
            raise StoreUnavailableError(
                f"the store at {self.shown_uri} {state} ({type(error).__name__})",
                "start the collector (bgpledger run) or the MongoDB server, or give another --mongodb-uri",
            ) from error
        except OperationFailure as error:
            if error.code in _NOT_AUTHORISED:
                raise StoreError(
                    f"the store at {self.shown_uri} refuses us: {error.details and error.details.get('errmsg')}",
                    "check user, password and authSource of the MongoDB URI; readWrite on the database is needed",
                ) from error
            raise StoreError(
                f"the store at {self.shown_uri} refuses: {str(error)[:300]}", "see the server's log"
            ) from error
        except (PyMongoError, BSONError) as error:
            raise StoreError(f"the store at {self.shown_uri} fails: {str(error)[:300]}") from error
