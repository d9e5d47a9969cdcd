"""The UPDATEs of a session that contain some prefixes; if few of many matter, only those."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from collector.store.mongo import Query, Store
from collector.store.traits import Traits
from collector.store.updates import pieces
from schemas.stored import GroupDocument, SessionDocument, UpdateDocument

_FIELDS = ("ts", "session", "attributes", "announce", "withdraw")
_MANY = 500
"""The number of UPDATEs above which only the newest are read, if these are sufficient."""
_FIRST_WINDOW, _WIDER = timedelta(minutes=1), 4
_MULTIPROTOCOL, _ADD_PATH = 1, 69
_PLAIN = frozenset({"ipv4 unicast", "ipv6 unicast"})
_PLAIN_OFFERED = frozenset({"ipv4/unicast", "ipv6/unicast"})
"""The same families as written in capabilities."""


async def updates_of_prefixes(
    store: Store, session: SessionDocument, prefixes: Collection[str], begin: datetime, end: datetime | None
) -> list[UpdateDocument]:
    """UPDATEs of a session's peer, in order, that have the same effect on the prefixes as all of them.

    Args:
        store: the archive.
        session: the session.
        prefixes: normalised prefixes.
        begin: nothing before is read.
        end: the last time, inclusive; None: all that is stored.
    """
    span = {"$gte": begin, **({"$lte": end} if end else {})}
    has_one_each = has_one_route_to_each(session)
    found = await _naming(store, session, prefixes, span, _MANY if has_one_each else 0)
    if has_one_each and len(found) > _MANY:
        found = await _newest(store, session, prefixes, span)
    return sorted(found.values(), key=lambda one: (one["ts"], one["_id"]))


def has_one_route_to_each(session: SessionDocument) -> bool:
    """Whether the last event of a prefix decides: no path IDs (RFC 7911), RDs or other families, which have RDs, came.

    Of a session that bgpledger 0.2 began only its capabilities tell, which files and feeds do not have.
    """
    if "families" in session:
        return not session["path_ids"] and _PLAIN.issuperset(session["families"])
    capabilities = session.get("capabilities")
    if not capabilities or any(one.get("code") == _ADD_PATH for one in capabilities):
        return False
    spoken = [one.get("families", ()) for one in capabilities if one.get("code") == _MULTIPROTOCOL]
    return _PLAIN_OFFERED.issuperset(family for families in spoken for family in families)


async def _newest(
    store: Store, session: SessionDocument, prefixes: Collection[str], span: Mapping[str, datetime]
) -> dict[ObjectId, UpdateDocument]:
    """Read backwards, window by window, until there is an event for each prefix."""
    waiting, found = set(prefixes), dict[ObjectId, UpdateDocument]()
    # What came after `last_seen` is read whole: the session's document does not tell of its path IDs and families yet.
    last = session["last_seen"]
    at, width, until = min(last, span.get("$lte", last)), _FIRST_WINDOW, dict(span)
    while waiting:
        first = max(span["$gte"], at - width)
        some = await _naming(store, session, waiting, {**until, "$gte": first}, 0)
        found |= some
        waiting.difference_update(_named(one for one in some.values() if one.get("session") == session["_id"]))
        if first == span["$gte"]:
            break
        at, width, until = first, width * _WIDER, {"$lt": first}
    return found


def _named(updates: Iterable[UpdateDocument]) -> Iterator[str]:
    for update in updates:
        for group in (*update.get("announce", ()), *update.get("withdraw", ())):
            if is_plain(group):
                yield from group.get("nlri", ())


def is_plain(group: GroupDocument) -> bool:
    """Whether a group's routes are distinguished by their prefixes alone."""
    return group["family"] in _PLAIN and "path_id" not in group


async def _naming(
    store: Store, session: SessionDocument, prefixes: Collection[str], span: Mapping[str, datetime], most: int
) -> dict[ObjectId, UpdateDocument]:
    """The UPDATEs in a span; at most `most` of them; 0: all."""
    query: Query = {"peer.address": session["peer"]["address"], "ts": span}
    found: dict[ObjectId, UpdateDocument] = {}
    for some in _together(prefixes, await store.traits()):
        condition: Any = {"$in": some} if len(some) > 1 else some[0]
        for kind in ("announce", "withdraw"):
            limit = most and most + 1
            async for update in store.find(
                "updates", {f"{kind}.nlri": condition, **query}, limit=limit, fields=_FIELDS
            ):
                found[update["_id"]] = update
            if most and len(found) > most:
                return found
    return found


def _together(prefixes: Collection[str], traits: Traits) -> Iterator[Sequence[str]]:
    """Prefixes to query together: where a list reads too much, those that may have very many UPDATEs come alone."""
    alone = () if traits.narrows_lists else [one for one in prefixes if _is_widely_accepted(one)]
    yield from ([one] for one in alone)
    yield from pieces([one for one in prefixes if one not in alone], traits.prefixes)


def _is_widely_accepted(prefix: str) -> bool:
    """Whether most networks accept routes of its length."""
    address, _, length = prefix.partition("/")
    return int(length) <= (48 if ":" in address else 24)
