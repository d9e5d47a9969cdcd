"""Prepares a database: collections with validators, indexes, and TTL indexes.

What is needed for the first line is done first, and is fast: missing collections are created with their indexes while
they are empty. All else, such as an index over existing documents, may take hours, and is done while lines are stored.
What the server does not support, or the user has no right to, is skipped and reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pymongo
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from collector.store.collections import COLLECTIONS, EXPIRIES, Collection, Expiry
from collector.store.driver import Document
from collector.store.traits import Traits

_DAY_SECONDS = 86_400
_BUILD_SECONDS = 20 * _DAY_SECONDS
"""How long building an index may take, where other answers have a minute; MongoDB's maximum is 24 days."""
PROGRESS_SECONDS = 5.0
"""How often, in seconds, the progress of an index is reported."""
# The names of MongoDB's error_codes.yml.
_NOT_AUTHORISED = 13
_NAMESPACE_EXISTS = 48
_INDEX_CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict

OnBuild = Callable[[str | None], None]
"""Called with what is being done and its progress, now and then; None when it is done."""


class Lack(NamedTuple):
    """Something that could not be set up, why, and how to fix it."""

    cause: str
    cure: str


class Preparer:
    """Prepares one database.

    Args:
        database: read from the primary.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database
        self._lacks: dict[str, Lack] = {}

    async def create(self, version: int, traits: Traits) -> None:
        """Create missing collections, with the indexes of a schema; idempotent."""
        present = set(await self._database.list_collection_names())
        for collection in COLLECTIONS:
            if collection.name not in present:
                await self._create(collection)
                indexes = collection.indexes_of(version, partial=traits.partial_indexes)
                await self._create_indexes(collection.name, indexes)

    async def maintain(
        self, version: int, traits: Traits, days: Mapping[str, int] | None, on_build: OnBuild
    ) -> Sequence[Lack]:
        """Update what exists to what it should be, however long that takes.

        Args:
            version: the database's schema.
            traits: the server's limits.
            days: the keys of [retention]; 0: for ever. None leaves retention as it is.
            on_build: called with the progress of indexes that are being built.

        Returns:
            What could not be done.
        """
        self._lacks = {}
        await self._validate()
        await self.index(version, traits, on_build)
        if days is not None:
            await self._retain(days, on_build)
        return list(self._lacks.values())

    async def index(self, version: int, traits: Traits, on_build: OnBuild) -> None:
        """Build the missing indexes of a schema."""
        for collection in COLLECTIONS:
            indexes = collection.indexes_of(version, partial=traits.partial_indexes)
            for index in await self._missing(collection.name, indexes):
                await self._build(collection.name, index, on_build)

    async def lifetimes(self) -> dict[str, int]:
        """The seconds after which the server removes documents, by the key of [retention]; 'for ever' is left out."""
        present = {name: await self._expiring(name) for name in {expiry.collection for expiry in EXPIRIES}}
        return {
            expiry.setting: present[expiry.collection][expiry.index]
            for expiry in EXPIRIES
            if expiry.index in present[expiry.collection]
        }

    # --- collections and validators -----------------------------------------------------------------------------

    async def _create(self, collection: Collection) -> None:
        try:
            await self._make(collection.name, validator=collection.validator)
        except OperationFailure:  # the server may have no validators; if so, `maintain` reports it
            await self._make(collection.name)

    async def _make(self, name: str, **options: Any) -> None:
        try:
            await self._database.create_collection(name, check_exists=False, **options)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:  # another collector was faster
                raise

    async def _validate(self) -> None:
        """Give collections the validators of this version, where they have others."""
        ours = {"name": {"$in": [collection.name for collection in COLLECTIONS]}}
        listed = await self._database.command("listCollections", filter=ours)
        present = {one["name"]: one.get("options", {}).get("validator") for one in listed["cursor"]["firstBatch"]}
        for collection in COLLECTIONS:
            if present.get(collection.name) != collection.validator and "validators" not in self._lacks:
                try:
                    await self._database.command("collMod", collection.name, validator=collection.validator)
                except OperationFailure as error:
                    self._lack(
                        "validators",
                        error,
                        "its collections have those of another version, or none",
                        "for this alone nothing need be done: documents are checked before they are written",
                    )

    # --- indexes ------------------------------------------------------------------------------------------------

    async def _missing(self, collection: str, indexes: Sequence[IndexModel]) -> list[IndexModel]:
        """The missing indexes; one that somebody created on the same fields under another name serves as well."""
        present = await self._database[collection].index_information()
        keys = [list(one["key"]) for one in present.values() if not _special(one)]
        wanted = [(index, index.document["name"], list(index.document["key"].items())) for index in indexes]
        return [index for index, name, key in wanted if name not in present and key not in keys]

    async def _create_indexes(self, collection: str, indexes: Sequence[IndexModel]) -> None:
        try:
            await self._database[collection].create_indexes(indexes)
        except OperationFailure as error:
            if error.code not in _INDEX_CONFLICTS or await self._missing(collection, indexes):
                raise  # another collector was faster

    async def _build(self, collection: str, index: IndexModel, on_build: OnBuild) -> None:
        """Build an index, and report progress; writes continue."""
        name = index.document["name"]
        what = f"index {name} of {collection}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        building = asyncio.create_task(self._create_at_leisure(collection, index))
        try:
            while not (await asyncio.wait({building}, timeout=PROGRESS_SECONDS))[0]:
                on_build(what + await self._progress(collection))
            await building
        finally:
            building.cancel()
            on_build(None)

    async def _create_at_leisure(self, collection: str, index: IndexModel) -> None:
        with pymongo.timeout(_BUILD_SECONDS):
            await self._create_indexes(collection, [index])

    async def _progress(self, collection: str) -> str:
        """The server's progress, from $currentOp for users who may read that."""
        namespace = f"{self._database.name}.{collection}"
        pipeline = [
            {"$currentOp": {"allUsers": True}},
            {"$match": {"ns": namespace, "progress.total": {"$gt": 0}, "command.createIndexes": collection}},
        ]
        try:
            answer = await self._database.client.admin.command("aggregate", 1, pipeline=pipeline, cursor={})
        except PyMongoError:
            return ""
        shares = [one["progress"]["done"] / one["progress"]["total"] for one in answer["cursor"]["firstBatch"]]
        return f": {min(shares):.0%}" if shares else ""

    # --- what expires -------------------------------------------------------------------------------------------

    async def _retain(self, days: Mapping[str, int], on_build: OnBuild) -> None:
        present = {name: await self._expiring(name) for name in {expiry.collection for expiry in EXPIRIES}}
        for expiry in EXPIRIES:
            seconds = days[expiry.setting] * _DAY_SECONDS
            now = present[expiry.collection].get(expiry.index, 0)
            try:
                await self._expire(expiry, seconds, now, on_build)
            except OperationFailure as error:
                if not now:
                    raise
                self._lack_change(expiry, seconds, error)

    async def _expire(self, expiry: Expiry, seconds: int, now: int, on_build: OnBuild) -> None:
        """Change the TTL index from `now` seconds to `seconds`, where 0 means no index."""
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
            await self._build(expiry.collection, index, on_build)
            # Another collector may have been faster, with its own setting.
            made = (await self._expiring(expiry.collection)).get(expiry.index, seconds)
            await self._expire(expiry, seconds, made, on_build)

    async def _expiring(self, collection: str) -> dict[str, int]:
        """The seconds of a collection's TTL indexes, by name."""
        indexes = await self._database[collection].index_information()
        return {name: int(one["expireAfterSeconds"]) for name, one in indexes.items() if "expireAfterSeconds" in one}

    # --- what is done without -----------------------------------------------------------------------------------

    def _lack_change(self, expiry: Expiry, seconds: int, error: OperationFailure) -> None:
        drop = f'db.{expiry.collection}.dropIndex("{expiry.index}")'
        self._lack(
            expiry.setting,
            error,
            f"retention.{expiry.setting} stays as it was, not {seconds // _DAY_SECONDS} days",
            f"{drop} in mongosh and a restart rebuild its index",
        )

    def _lack(self, what: str, error: OperationFailure, then: str, otherwise: str) -> None:
        message = str((error.details or {}).get("errmsg") or error)[:200]
        cause = f"the store does not let us change {what}: {message} (code {error.code})"
        cure = otherwise
        if error.code == _NOT_AUTHORISED:
            cure = f"{grant('dbAdmin', self._database.name)}, and restart; or: {otherwise}"
        self._lacks[what] = Lack(f"{cause}; {then}", cure)


def grant(role: str, database: str) -> str:
    """The mongosh command that gives a user a role."""
    return f'db.grantRolesToUser("USER", [{{role: "{role}", db: "{database}"}}])'


def _special(index: Mapping[str, Any]) -> bool:
    """Whether an index does not contain all documents, or rejects some."""
    return any(name in index for name in ("partialFilterExpression", "sparse", "hidden", "expireAfterSeconds"))
