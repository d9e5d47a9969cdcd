"""Checks that every acknowledged line of the spools is in the database exactly once, without the lines themselves.

A line's document has the line's number in its key, and ExaBGP's count. Sessions have tallies, the spool's note has
sums, and gaps say what was lost earlier. All of these must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from bson import ObjectId

from collector.instances import Instance
from collector.query.verify.checks import Claims, GapClaim, Judgement, Limits
from collector.query.verify.imported import Imports, verify_imports
from collector.query.verify.inventory import Inventory, Owner, find_begins
from collector.query.verify.reader import SessionCount, every_document
from collector.sources.known import SOURCES, find_instances
from collector.spool.spool import SpoolState, inspect, known_identity
from collector.store.mongo import Store
from schemas.documents import COUNTED_CAUSES, Session
from schemas.keys import instance_name, key_line
from schemas.status import Finding, Verification
from schemas.stored import MessageDocument, SessionDocument

MOST_FINDINGS = 500
_EVERY = 1000
_BY_KEY = (("_id", 1),)
_SUMS = ("verified", "waiting", "documents", "expired", "lost", "unreadable", "sessions", "more")
_TALLIES: Final[tuple[SessionCount, ...]] = ("updates", "keepalives")

OnProgress = Callable[[int, int], None]


async def verify(
    data_dir: Path, store: Store, collector: str, on_progress: OnProgress = lambda _done, _all: None
) -> Verification:
    """Verify all lines below the acknowledged position of each spool; a collector may be running.

    Args:
        data_dir: the collector's data directory.
        store: the store.
        collector: the collector's name, for spools that do not tell it.
        on_progress: called now and then with how many documents of how many lines were seen, one spool after the other.

    Raises:
        SpoolError: a spool cannot be read.
        StoreError: the store does not answer.
    """
    lines = _together(
        [(instance, await _verify(instance, store, collector, on_progress)) for instance in find_instances(data_dir)]
    )
    return _with_imports(lines, await verify_imports(store))


def _with_imports(lines: Verification, imports: Imports) -> Verification:
    """The results for spools and imported files."""
    if not imports.files:
        return lines
    findings = [*lines.findings, *imports.findings, *imports.differences]
    changes = {
        "complete": lines.complete and not imports.findings,
        "documents": lines.documents + imports.documents,
        "files": imports.files,
        "findings": findings[:MOST_FINDINGS],
        "more": lines.more + len(findings[MOST_FINDINGS:]),
    }
    return lines.model_copy(update=changes)


def _together(parts: Sequence[tuple[Instance, Verification]]) -> Verification:
    """The verifications of all spools combined."""
    (_, first), *others = parts
    if not others:
        return first
    findings = [
        finding.model_copy(update={"spool": instance.spool.name}) for instance, one in parts for finding in one.findings
    ]
    sums = {name: sum(getattr(one, name) for _, one in parts) for name in _SUMS}
    sums["more"] += len(findings[MOST_FINDINGS:])
    return first.model_copy(update={**sums, "complete": not findings, "findings": findings[:MOST_FINDINGS]})


async def _verify(instance: Instance, store: Store, collector: str, on_progress: OnProgress) -> Verification:
    spool = inspect(instance.spool)
    names = await _names(store, instance)
    # Before the first acknowledgement the spool itself does not know.
    collector = spool.note.get("collector") or next(iter(names), collector)
    owners = {Owner.named(name, instance.label) for name in (collector, *names)}
    sessions = await _sessions(store, owners, spool)
    gaps = await _gaps(store, owners, spool.acknowledged)
    inventory = Inventory(
        SOURCES[instance.source],
        owners,
        spool.acknowledged,
        find_begins(await _starts(store, owners)),
        {*spool.note.get("ranges", ()), *(gap.peer for gap in gaps if gap.peer and "/" in gap.peer)},
    )
    rejected = spool.note.get("rejected", 0)
    scan = every_document(store, list(sessions.counted.values()), sessions.peers, rejected)
    seen = 0
    async for collection, document in scan:
        inventory.see(collection, document)
        seen += 1
        if seen % _EVERY == 0:
            on_progress(inventory.documents, inventory.below)
    on_progress(inventory.documents, inventory.below)
    # Read last: what expired in the meantime was old enough to.
    limits = _limits(await store.lifetimes())
    claims = Claims(sessions.counted, gaps, spool.note.get("stored", 0), rejected, limits)
    judgement = Judgement(inventory, claims)
    findings = chain(sessions.behind, _unknown(instance.spool, inventory), judgement.findings())
    listed = list(islice(findings, MOST_FINDINGS))
    more = sum(1 for _ in findings)
    return Verification(
        complete=not listed,
        collector=collector,
        data_dir=str(instance.data_dir),
        mongodb_uri=store.shown_uri,
        verified=spool.acknowledged,
        waiting=spool.waiting,
        documents=inventory.documents,
        expired=judgement.expired,
        lost=sum(gap.lines or 0 for gap in gaps if gap.cause == "spool" or (gap.peer and gap.cause in COUNTED_CAUSES)),
        unreadable=sum(gap.cause == "reject" for gap in gaps),
        sessions=len(sessions.counted),
        findings=listed,
        more=more,
    )


async def _names(store: Store, instance: Instance) -> list[str]:
    """The names in the store of the collector with an instance's spool: the current one and earlier ones."""
    spool_identity = known_identity(instance.spool)
    claimed = await store.meta.claimed(spool_identity) if spool_identity else []
    return [name.removesuffix(instance_name("", instance.label)) for name in claimed]


def _limits(lifetimes: Mapping[str, int]) -> Limits:
    now = int(datetime.now(UTC).timestamp())
    # One second more, because a key has whole seconds.
    return Limits(**{key.removesuffix("_days"): now - seconds + 1 for key, seconds in lifetimes.items()})


def _unknown(spool: Path, inventory: Inventory) -> Iterator[Finding]:
    """Documents of lines that the spool cannot have had; the spool is inspected after reading them."""
    now = inspect(spool)
    read = max(now.read, now.acknowledged)
    if inventory.highest >= read:
        yield Finding(
            what="unknown",
            lines=str(inventory.highest),
            detail=f"there is a document of line {inventory.highest}, but the spool has had {read} lines only",
        )


class _SessionSums(NamedTuple):
    counted: dict[ObjectId, SessionDocument]
    """Sessions that began below the acknowledged position, with tallies as of that position."""
    behind: list[Finding]
    peers: set[str]
    """Every peer that has ever sent anything."""


async def _sessions(store: Store, owners: Set[Owner], spool: SpoolState) -> _SessionSums:
    """The sessions; those that were up at the acknowledged position in the state that the spool's note has."""
    found = _SessionSums({}, [], set())
    async for one in store.find("sessions", {}, sort=_BY_KEY, fields=("collector", "peer", "since", *_TALLIES)):
        if Owner.of(one) in owners and key_line(one["_id"]) < spool.acknowledged:
            found.counted[one["_id"]] = one
    for name, neighbour in spool.note.get("tracker", {}).get("neighbours", {}).items():
        found.peers.add(name.partition(" ")[0])
        if neighbour.get("session"):
            session = Session.model_validate(neighbour["session"])
            found.behind.extend(_behind(found.counted.get(session.key), session))
            found.counted[session.key] = session.to_document()
    return found


def _behind(stored: SessionDocument | None, noted: Session) -> Iterator[Finding]:
    """Where a session's document has less than the note, before which it is written."""
    peer, key = noted.peer.address, str(noted.key)
    if stored is None:
        yield Finding(what="session", peer=peer, session=key, detail="the session is up, but it is not there")
        return
    for tally in _TALLIES:
        if stored[tally] < getattr(noted, tally):
            detail = f"the session counted {getattr(noted, tally)} {tally}, but its document tells of {stored[tally]}"
            yield Finding(what="tally", peer=peer, session=key, detail=detail)


async def _starts(store: Store, owners: Set[Owner]) -> list[tuple[int, int, MessageDocument]]:
    """The documents of every receiver's start."""
    query = {"peer.address": None, "kind": "helper_start"}
    fields = ("collector", "source", "incarnation")
    return [
        (key_line(one["_id"]), int.from_bytes(one["_id"].binary[:4]), one)
        async for one in store.find("messages", query, fields=fields)
        if Owner.of(one) in owners
    ]


async def _gaps(store: Store, owners: Set[Owner], below: int) -> list[GapClaim]:
    """What gaps say about lines below a position."""
    return [
        GapClaim(gap["line"], gap["peer"]["address"] if "peer" in gap else None, gap.get("lines"), gap["cause"])
        async for gap in store.find("gaps", {}, sort=_BY_KEY)
        if Owner.of(gap) in owners and gap["line"] < below
    ]
