"""Checks that everything imported from files is in the database exactly once, without the files themselves.

For each file, `meta` has the number of records that became documents, whose keys identify the file. Sessions have
tallies, stored tables of RIB dumps have parts, and gaps say where a dump differs from the updates before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bson import ObjectId

from collector.query.verify.inventory import Owner
from collector.query.verify.reader import every_document
from collector.rib import snapshots
from collector.store.mongo import Store
from schemas.keys import FILE_BITS, FILE_RECORD_BITS, key_line
from schemas.meta import ImportDocument
from schemas.status import Finding
from schemas.stored import SessionDocument


@dataclass
class Imports:
    """The result for imported files."""

    files: int = 0
    documents: int = 0
    findings: list[Finding] = field(default_factory=list)
    """What is missing or duplicated."""
    differences: list[Finding] = field(default_factory=list)
    """Where RIB dumps differ from the updates before them."""


async def verify_imports(store: Store) -> Imports:
    """Verify all completely imported files, under all collectors' names.

    Raises:
        StoreError: the store does not answer.
    """
    found = Imports()
    by_owner: dict[Owner, list[ImportDocument]] = defaultdict(list)
    for one in await store.meta.all_imports():
        if one["done"] and "grown" not in one:
            by_owner[Owner.named(one["collector"], one["source"])].append(one)
    removes = bool(await store.lifetimes())  # then missing documents may have expired
    for owner, files in by_owner.items():
        found.files += len(files)
        found.findings += [one async for one in _of_owner(store, owner, files, found, removes=removes)]
        found.differences += [one async for one in _differences(store, owner)]
    return found


async def _of_owner(
    store: Store, owner: Owner, files: Sequence[ImportDocument], found: Imports, *, removes: bool
) -> AsyncIterator[Finding]:
    sessions = {one["_id"]: one async for one in store.find("sessions", {}) if Owner.of(one) == owner}
    counts, tallies = Counter[int](), Counter[ObjectId]()
    peers = {name.partition(" ")[0] for one in files for name in _neighbours(one)}
    rejects = sum(one["note"].get("rejected", 0) for one in files)
    async for collection, document in every_document(store, list(sessions.values()), peers, rejects):
        if Owner.of(document) == owner:
            counts[key_line(document["_id"]) >> FILE_RECORD_BITS] += 1
            if collection == "updates" and "session" in document:
                tallies[document["session"]] += 1
    found.documents += counts.total()
    if not removes:
        for finding in (*_counts(files, counts), *_tallies(sessions, tallies)):
            yield finding
    for key in sessions:
        async for table in snapshots.every(store, {"session": key, "dump": {"$exists": True}}):
            if not table.complete or not await snapshots.has_all_parts(store, table):
                detail = f"the table of the RIB dump {table.dump} is not whole"
                yield Finding(what="table", peer=table.peer.address, session=str(key), detail=detail)


def _neighbours(one: ImportDocument) -> Sequence[str]:
    return list(one["note"].get("tracker", {}).get("neighbours", {}))


def _counts(files: Sequence[ImportDocument], counts: Mapping[int, int]) -> Iterator[Finding]:
    stored, names = Counter[int](), dict[int, str]()
    for one in files:
        number = one["number"] % (1 << FILE_BITS)  # after many years of files, two may have the same
        stored[number] += one["note"].get("stored", 0) + one["note"].get("rejected", 0)
        names[number] = one["file"]
    for number, name in names.items():
        there = counts.get(number, 0)
        if there != stored[number]:
            detail = f"{name}: {stored[number]:,} records were stored, and {there:,} documents are there"
            yield Finding(what="missing" if there < stored[number] else "double", detail=detail)


def _tallies(sessions: Mapping[ObjectId, SessionDocument], tallies: Mapping[ObjectId, int]) -> Iterator[Finding]:
    for key, session in sessions.items():
        if session["updates"] != tallies.get(key, 0):
            detail = f"the session counts {session['updates']:,} updates, there are {tallies.get(key, 0):,}"
            yield Finding(what="tally", peer=session["peer"]["address"], session=str(key), detail=detail)


async def _differences(store: Store, owner: Owner) -> AsyncIterator[Finding]:
    async for gap in store.find("gaps", {}, sort=(("ts", 1), ("_id", 1))):
        if gap["cause"] == "table" and Owner.of(gap) == owner:
            yield Finding(what="table", peer=gap["peer"]["address"], detail=gap["reason"])
