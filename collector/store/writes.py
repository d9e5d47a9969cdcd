"""Writes documents so that each is stored or refused by itself, whatever else is in its batch.

A refusal is caused by the document itself and would be repeated for ever: it is too large, or BSON or the server does
not accept it; a server with a bug may close the connection on it. If the cause is how the database is set up (a
validator or an index that somebody created), that is an error instead, which is reported and retried, so that no good
document is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, NamedTuple

import bson
from bson import ObjectId
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from collector.errors import StoreError, StoreUnavailableError
from collector.store.driver import Document as Document
from collector.store.driver import Query

Writable = Mapping[str, Any]
"""A document to write: one of `schemas.stored`."""

log = logging.getLogger(__name__)

_Collection = AsyncCollection[Document]

MAX_BYTES = 16 * 2**20
"""Maximum size of a document: MongoDB's limit (`maxBsonObjectSize`). The command around it may use 16 KiB more."""
CLOSING_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each retry of a document on which the server closed the connection."""
REFUSALS = ("the store refused it", "BSON cannot hold it", "too large for MongoDB")
"""How the reasons of refusals start."""

# The names of MongoDB's error_codes.yml.
_DUPLICATE_KEY = 11000
_DOCUMENTS_OWN = frozenset(
    (
        2,  # BadValue
        14,  # TypeMismatch
        15,  # Overflow: nested too deep
        22,  # InvalidBSON
        52,  # DollarPrefixedFieldName
        56,  # EmptyFieldName
        57,  # DottedFieldName
        10334,  # BSONObjectTooLarge
        # KeyTooLong: not from current MongoDB, but from servers that limit the size of index keys; ours contain NLRI
        17280,
        17419,  # the same as 10334, for an update
        17420,  # and for an upsert
    )
)
_DATABASES = {121: "a validator", 171: "an index"}
"""DocumentValidationFailure, CannotIndexParallelArrays: our own validators and indexes accept all that we write."""


class WriteRefusal(NamedTuple):
    """A document that can never be stored: its index in the batch, and the reason."""

    at: int
    reason: str


class DocumentChange(NamedTuple):
    """New values for some fields of one document; it has no effect if the document does not exist."""

    of: Query
    """What the document must match: its `_id`, and any other condition."""
    fields: Writable
    """The new values, by MongoDB's dotted field names."""


class _Encoded(NamedTuple):
    at: int
    document: RawBSONDocument


class _Writing(NamedTuple):
    """How documents are written."""

    collection: _Collection
    send: Callable[[_Collection, Sequence[_Encoded]], Awaitable[None]]
    narrowing: AbstractAsyncContextManager[Any]


async def insert(collection: _Collection, documents: Sequence[Writable], narrowing: asyncio.Lock) -> list[WriteRefusal]:
    """Insert documents; existing ones with the same `_id` stay as they are.

    Args:
        collection: the collection.
        documents: of any number and size.
        narrowing: shared by all who write to this store: only one at a time investigates why a server closes
            connections, so that no document is blamed for another one.

    Returns:
        The documents that can never be stored; all others are stored.

    Raises:
        StoreError: the database is set up so that it refuses valid documents.
        StoreUnavailableError: not everything is stored, for a reason that may be temporary.
    """
    return await _write(_Writing(collection, _insert, narrowing), documents)


async def replace(
    collection: _Collection, documents: Sequence[Writable], narrowing: asyncio.Lock
) -> list[WriteRefusal]:
    """Replace documents with the same `_id`, or insert them; otherwise as `insert`."""
    return await _write(_Writing(collection, _replace, narrowing), documents)


async def change(collection: _Collection, changes: Sequence[DocumentChange]) -> int:
    """Change documents; returns how many of them existed."""
    result = await collection.bulk_write([UpdateOne(one.of, {"$set": one.fields}) for one in changes], ordered=False)
    return result.matched_count


def encoding_fault(document: Writable) -> str | None:
    """Why a document can never be stored; None if it can."""
    _encoded, refusals = _encode([document])
    return refusals[0].reason if refusals else None


def _encode(documents: Sequence[Writable]) -> tuple[list[_Encoded], list[WriteRefusal]]:
    """Each document as it is sent: a server would refuse a whole batch because of one that is too large."""
    encoded, refusals = [], []
    for at, document in enumerate(documents):
        try:
            raw = bson.encode(document)
        except (BSONError, DocumentTooLarge, OverflowError, RecursionError, UnicodeEncodeError) as error:
            refusals.append(WriteRefusal(at, f"BSON cannot hold it: {str(error)[:200]}"))
            continue
        if len(raw) > MAX_BYTES:
            refusals.append(WriteRefusal(at, f"too large for MongoDB: {len(raw)} bytes of {MAX_BYTES}"))
        else:
            encoded.append(_Encoded(at, RawBSONDocument(raw)))
    return encoded, refusals


async def _insert(collection: _Collection, encoded: Sequence[_Encoded]) -> None:
    await collection.insert_many([one.document for one in encoded], ordered=False)


async def _replace(collection: _Collection, encoded: Sequence[_Encoded]) -> None:
    replacements: list[ReplaceOne[Any]] = [
        ReplaceOne({"_id": one.document["_id"]}, one.document, upsert=True) for one in encoded
    ]
    await collection.bulk_write(replacements, ordered=False)


async def _write(way: _Writing, documents: Sequence[Writable]) -> list[WriteRefusal]:
    encoded, refusals = _encode(documents)
    return sorted([*refusals, *await _write_some(way, encoded)])


async def _write_some(way: _Writing, encoded: Sequence[_Encoded]) -> list[WriteRefusal]:
    try:
        return await _send(way, encoded)
    except AutoReconnect as error:
        async with way.narrowing:
            return await _narrow_closing(way, encoded, error)


async def _send(way: _Writing, encoded: Sequence[_Encoded]) -> list[WriteRefusal]:
    """Write documents; the caller handles connections that the server closes."""
    if not encoded:
        return []
    try:
        await way.send(way.collection, encoded)
    except BulkWriteError as error:
        return await _judge(way.collection, encoded, error)
    except (OperationFailure, DocumentTooLarge) as error:
        return await _narrow(way, encoded, error)
    return []


async def _narrow(
    way: _Writing, encoded: Sequence[_Encoded], error: OperationFailure | DocumentTooLarge
) -> list[WriteRefusal]:
    """Find the documents for which a server refuses a whole command, and write the others."""
    if isinstance(error, OperationFailure):
        _raise_if_databases(way.collection.name, error.code, str(error))
        if error.code not in _DOCUMENTS_OWN:
            raise error
    if len(encoded) == 1:
        # The server may refuse the command whatever is in it: this one changes nothing, and reveals that.
        await way.collection.delete_one({"_id": ObjectId()})
        return [WriteRefusal(encoded[0].at, _reason(error, getattr(error, "code", None)))]
    return [refusal for half in _halves(encoded) for refusal in await _send(way, half)]


async def _narrow_closing(way: _Writing, encoded: Sequence[_Encoded], error: AutoReconnect) -> list[WriteRefusal]:
    """Find the documents on which a server closes the connection, and write the others.

    A server that shuts down closes it too. So no document is blamed unless the server closes the connection on it
    alone, repeatedly, and answers other commands in between.

    Raises:
        AutoReconnect: the server is the cause, not a document.
    """
    await _assert_works(way, error)
    if len(encoded) > 1:
        alone = way._replace(narrowing=nullcontext())  # only one document is left
        return [refusal for half in _halves(encoded) for refusal in await _write_some(alone, half)]
    name = way.collection.name
    log.warning("the store closes the connection on one document of %s only: trying it again", name)
    for pause in CLOSING_PAUSES:
        await asyncio.sleep(pause)
        try:
            return await _send(way, encoded)
        except AutoReconnect as again:
            await _assert_works(way, again)
    return [
        WriteRefusal(encoded[0].at, _reason(f"it closes the connection on it, {len(CLOSING_PAUSES)} times more", None))
    ]


async def _assert_works(way: _Writing, error: AutoReconnect) -> None:
    """Check whether a server that closed a connection answers small commands."""
    if isinstance(error, NetworkTimeout | NotPrimaryError | ServerSelectionTimeoutError):
        raise error
    database, small = way.collection.database, {"_id": ObjectId()}
    meta = database["meta"].with_options(write_concern=way.collection.write_concern)
    try:
        await database.command("ping")
        await meta.insert_one(small)
        await meta.delete_one(small)
    except PyMongoError:
        raise error from None


def _halves(encoded: Sequence[_Encoded]) -> tuple[Sequence[_Encoded], Sequence[_Encoded]]:
    middle = len(encoded) // 2
    return encoded[:middle], encoded[middle:]


async def _judge(collection: _Collection, encoded: Sequence[_Encoded], error: BulkWriteError) -> list[WriteRefusal]:
    """The documents that an unordered bulk write refused for good; any other error is a fault of the server."""
    details = error.details or {}
    if concern := details.get("writeConcernErrors"):
        raise StoreUnavailableError(f"the store did not make a write durable: {str(concern[0].get('errmsg'))[:200]}")
    refusals, duplicates = [], []
    for one in details.get("writeErrors", ()):
        code, text = one["code"], one["errmsg"]
        if code == _DUPLICATE_KEY:
            if "keyPattern" not in one:
                duplicates.append(encoded[one["index"]].document["_id"])
            elif dict(one["keyPattern"]) != {"_id": 1}:
                raise _badly_set_up(collection.name, "a unique index", text, code)
            continue
        _raise_if_databases(collection.name, code, text)
        if code not in _DOCUMENTS_OWN:
            raise StoreUnavailableError(f"the store did not accept a batch: {text[:200]} (code {code})")
        refusals.append(WriteRefusal(encoded[one["index"]].at, _reason(text, code)))
    await _assert_there(collection, duplicates)
    return refusals


async def _assert_there(collection: _Collection, keys: Sequence[Any]) -> None:
    """Check that documents which a server calls duplicates exist, if it does not name the index."""
    if keys:
        found = {one["_id"] async for one in collection.find({"_id": {"$in": list(keys)}}, ["_id"])}
        if missing := set(keys) - found:
            text = f"a duplicate of another document than itself: {min(missing)}"
            raise _badly_set_up(collection.name, "a unique index", text, _DUPLICATE_KEY)


def _raise_if_databases(collection: str, code: int | None, text: str) -> None:
    if code in _DATABASES:
        raise _badly_set_up(collection, _DATABASES[code], text, code)


def _badly_set_up(collection: str, what: str, text: str, code: int) -> StoreError:
    return StoreError(
        f"the store refuses valid documents of {collection}, because of {what}: {text[:200]} (code {code})",
        f"remove what bgpledger has not created on {collection}: compare db.getCollectionInfos() and"
        f" db.{collection}.getIndexes() with those of a new database; whatever is waiting is then stored",
    )


def _reason(error: object, code: int | None) -> str:
    return f"the store refused it: {str(error)[:200]}" + (f" (code {code})" if code is not None else "")
