"""Writing documents so that each is stored or refused by itself, whatever else is in its batch.

A refusal is a document's own fault, and would come again for ever: it is too large, or is none that BSON or the server
takes. Whatever lies in how the database is set up (a validator or an index that somebody made) is an error instead,
which is said aloud and tried again: no good document is left out for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import bson
from bson import ObjectId
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from collector.errors import StoreError, StoreUnavailableError

Document = dict[str, Any]
_Collection = AsyncCollection[dict[str, Any]]

MAX_BYTES = 16 * 2**20
"""Of a document: MongoDB's limit (`maxBsonObjectSize`). What wraps it in a command has 16 KiB beside it."""
REFUSALS = ("the store refused it", "BSON cannot hold it", "too large for MongoDB")
"""How the reasons of refusals begin."""

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
        17280,  # KeyTooLong: no longer of MongoDB, but of servers that bound an index's keys; ours are of NLRI
        17419,  # the same as 10334, of an update
        17420,  # and of an upsert
    )
)
_DATABASES = {121: "a validator", 171: "an index"}
"""DocumentValidationFailure, CannotIndexParallelArrays: our own validators and indexes take all that we write."""


class Refusal(NamedTuple):
    """A document that can never be stored: its place in the batch, and why."""

    at: int
    reason: str


class Change(NamedTuple):
    """Some fields of one document get other values; where the document is not there, nothing comes of it."""

    of: Mapping[str, Any]
    """What the document has: its `_id`, and whatever else has to be so still."""
    fields: Mapping[str, Any]
    """By the dotted names of MongoDB."""


class _Encoded(NamedTuple):
    at: int
    document: RawBSONDocument


async def insert(collection: _Collection, documents: Sequence[Document]) -> list[Refusal]:
    """Insert documents; those whose `_id` is there already stay as they are.

    Returns:
        The documents that can never be stored; all others are.

    Raises:
        StoreError: the database is set up so that it refuses good documents.
        StoreUnavailableError: not all is stored, for a reason that may pass.
    """
    encoded, refusals = _encode(documents)
    return sorted([*refusals, *await _insert(collection, encoded)])


async def replace(collection: _Collection, documents: Sequence[Document]) -> list[Refusal]:
    """Put whole documents in the place of those with their `_id`, or insert them; else as `insert`."""
    encoded, refusals = _encode(documents)
    return sorted([*refusals, *await _replace(collection, encoded)])


async def change(collection: _Collection, changes: Sequence[Change]) -> int:
    """Change documents, and say how many of them were there."""
    result = await collection.bulk_write([UpdateOne(one.of, {"$set": one.fields}) for one in changes], ordered=False)
    return result.matched_count


def encoding_fault(document: Document) -> str | None:
    """Why a document can be stored nowhere, if so."""
    _encoded, refusals = _encode([document])
    return refusals[0].reason if refusals else None


def _encode(documents: Sequence[Document]) -> tuple[list[_Encoded], list[Refusal]]:
    """Each document as it is sent: one that is too large would have the server refuse its whole batch."""
    encoded, refusals = [], []
    for at, document in enumerate(documents):
        try:
            raw = bson.encode(document)
        except (BSONError, DocumentTooLarge, OverflowError, RecursionError, UnicodeEncodeError) as error:
            refusals.append(Refusal(at, f"BSON cannot hold it: {str(error)[:200]}"))
            continue
        if len(raw) > MAX_BYTES:
            refusals.append(Refusal(at, f"too large for MongoDB: {len(raw)} bytes of {MAX_BYTES}"))
        else:
            encoded.append(_Encoded(at, RawBSONDocument(raw)))
    return encoded, refusals


async def _insert(collection: _Collection, encoded: Sequence[_Encoded]) -> list[Refusal]:
    if not encoded:
        return []
    try:
        await collection.insert_many([one.document for one in encoded], ordered=False)
    except BulkWriteError as error:
        return await _judge(collection, encoded, error)
    except (OperationFailure, DocumentTooLarge) as error:
        return await _narrow(collection, encoded, error, _insert)
    return []


async def _replace(collection: _Collection, encoded: Sequence[_Encoded]) -> list[Refusal]:
    if not encoded:
        return []
    replacements: list[ReplaceOne[Any]] = [
        ReplaceOne({"_id": one.document["_id"]}, one.document, upsert=True) for one in encoded
    ]
    try:
        await collection.bulk_write(replacements, ordered=False)
    except BulkWriteError as error:
        return await _judge(collection, encoded, error)
    except (OperationFailure, DocumentTooLarge) as error:
        return await _narrow(collection, encoded, error, _replace)
    return []


async def _narrow(
    collection: _Collection, encoded: Sequence[_Encoded], error: OperationFailure | DocumentTooLarge, write: Any
) -> list[Refusal]:
    """Find the documents for which a server refuses a whole command, and write the others."""
    if isinstance(error, OperationFailure):
        _raise_if_databases(collection.name, error.code, str(error))
        if error.code not in _DOCUMENTS_OWN:
            raise error
    if len(encoded) == 1:
        # It may be the command that is not taken, whatever is in it: this one changes nothing, and tells.
        await collection.delete_one({"_id": ObjectId()})
        return [Refusal(encoded[0].at, _reason(error, getattr(error, "code", None)))]
    middle = len(encoded) // 2
    return [*await write(collection, encoded[:middle]), *await write(collection, encoded[middle:])]


async def _judge(collection: _Collection, encoded: Sequence[_Encoded], error: BulkWriteError) -> list[Refusal]:
    """The documents that an unordered bulk write left out for good; anything else is the server's trouble."""
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
            raise StoreUnavailableError(f"the store did not take a batch: {text[:200]} (code {code})")
        refusals.append(Refusal(encoded[one["index"]].at, _reason(text, code)))
    await _assert_there(collection, duplicates)
    return refusals


async def _assert_there(collection: _Collection, keys: Sequence[Any]) -> None:
    """Look whether what a server calls duplicates is there, where it does not say of which index."""
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
        f"the store refuses good documents of {collection}, for {what} that it has: {text[:200]} (code {code})",
        f"take away what is not bgpledger's own on {collection}: compare db.getCollectionInfos() and"
        f" db.{collection}.getIndexes() with those of a new database; all that waits is stored then",
    )


def _reason(error: object, code: int | None) -> str:
    return f"the store refused it: {str(error)[:200]}" + (f" (code {code})" if code is not None else "")
