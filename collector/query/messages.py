"""Whole messages in stored form, in order of time: what exports write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Literal, NamedTuple, cast

from bson import ObjectId

from collector.query import streams
from collector.query.filters import Filter
from collector.query.search import Expander, streams_of
from collector.query.streams import MessageRow, SessionRow, UpdateRow
from collector.rib.routes import RouteKey, groups, key_of
from collector.store.mongo import Store
from schemas.identity import nlri_key
from schemas.peer import Peer
from schemas.stored import GroupDocument, MessageDocument, PeerDocument, SessionDocument, UpdateDocument

_EVENTS: tuple[Literal["announce", "withdraw"], ...] = ("announce", "withdraw")


class StoredMessage(NamedTuple):
    """A message of a peer."""

    ts: datetime
    document: UpdateDocument | MessageDocument
    """For an UPDATE that matches only in part, only that part, without the original bytes."""
    session: SessionDocument | None
    """None: the message preceded a session, as an OPEN does."""


class SessionChange(NamedTuple):
    """A session came up, or ended."""

    ts: datetime
    session: SessionDocument
    ended: bool


async def messages(
    store: Store, filters: Filter, *, with_others: bool = True, on_read: Callable[[], None] = lambda: None
) -> AsyncGenerator[StoredMessage | SessionChange, None]:
    """All that matches the filters: UPDATEs, sessions, and other messages unless routes or kinds are selected.

    An UPDATE with several routes has those that `search` would return.

    Args:
        store: an open store.
        filters: what is wanted.
        with_others: include messages other than UPDATEs.
        on_read: called for each UPDATE that has been read.
    """
    found = {session["_id"]: session for session in await streams.sessions(store, filters)}
    wanted, among = await streams_of(store, filters, list(found.values()))
    every = filters.elems is None and not filters.asks_for_routes
    expand = None if every else Expander(store, filters, complete=False, among=among, whole_from=filters.start)
    others = [streams.message_rows(store, filters)] if every and with_others else []
    peers = _PeerFilter(filters)
    async with aclosing(streams.merge(*wanted, *others)) as rows:
        async for row in rows:
            if not _is_of(filters, row.ts):
                continue
            if isinstance(row, SessionRow):
                if not filters.asks_for_routes:
                    yield SessionChange(row.ts, row.document, row.ended)
            elif isinstance(row, MessageRow):
                if "peer" in row.document and peers.are_wanted(row.document["peer"]):
                    yield StoredMessage(row.ts, row.document, _session(found, row.document))
            elif isinstance(row, UpdateRow):
                document = await _narrowed(row, expand, filters) if expand else _whole(row.document)
                if document and peers.are_wanted(document["peer"]):
                    yield StoredMessage(row.ts, document, _session(found, document))
                on_read()


def _session(
    found: Mapping[ObjectId, SessionDocument], document: UpdateDocument | MessageDocument
) -> SessionDocument | None:
    return found.get(document["session"]) if "session" in document else None


def _is_of(filters: Filter, ts: datetime) -> bool:
    return (filters.start is None or filters.start <= ts) and (filters.end is None or ts < filters.end)


class _PeerFilter:
    """Whether peers are wanted; each is checked once."""

    def __init__(self, filters: Filter) -> None:
        self._filters = filters
        self._known: dict[tuple[object, ...], bool] = {}

    def are_wanted(self, peer: PeerDocument) -> bool:
        key = tuple(peer.values())
        if key not in self._known:
            self._known[key] = self._filters.of_peer(Peer.model_validate(peer))
        return self._known[key]


# --- the wanted part of an UPDATE -----------------------------------------------------------------------------------


def _whole(document: UpdateDocument) -> UpdateDocument:
    """All of it, each route once (see `collector.rib.routes.groups`)."""
    for event in _EVENTS:
        if event in document:
            document[event] = list(groups(document, event))
    return document


async def _narrowed(row: UpdateRow, expand: Expander, filters: Filter) -> UpdateDocument | None:
    wanted: set[tuple[str, RouteKey]] = set()
    async for entry in expand(row):
        if filters.matches(entry) and entry.family is not None:
            name = entry.prefix if entry.prefix is not None else nlri_key(entry.family, entry.object)
            wanted.add((entry.event, RouteKey(entry.family, entry.rd, entry.path_id, name)))
    if not wanted:
        return None
    document = _whole(row.document)
    kept: dict[str, list[GroupDocument]] = {}
    is_whole = True
    for event in _EVENTS:
        if event not in document:
            continue
        for group in document[event]:
            part, all_of_it = _part(group, event, wanted)
            is_whole = is_whole and all_of_it
            if part:
                kept.setdefault(event, []).append(part)
    if is_whole:
        return document
    rest = {name: value for name, value in document.items() if name not in (*_EVENTS, "wire")}
    return cast("UpdateDocument", rest | kept)


def _part(
    group: GroupDocument, event: str, wanted: Collection[tuple[str, RouteKey]]
) -> tuple[GroupDocument | None, bool]:
    """The wanted part of a group, and whether that is all of it."""
    kind: Literal["nlri", "objects"] = "nlri" if "nlri" in group else "objects"
    every: Sequence[object] = group[kind]
    kept = [one for one in every if (event, key_of(group, one)) in wanted]
    if len(kept) == len(every):
        return group, True
    part: Mapping[str, object] = {**group, kind: kept}
    return (cast("GroupDocument", part) if kept else None), False
