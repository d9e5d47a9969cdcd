"""Reads every document of some peers' lines through indexes, in pieces that suit the server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, get_args, get_type_hints

from collector.store.mongo import Document, Query, Store
from collector.store.updates import IN_ORDER
from schemas.message import Message, Update
from schemas.stored import SessionDocument

Collection = Literal["updates", "messages", "rejects"]

_FIELDS = ("collector", "kind", "peer.address", "session", "source")
_REJECT_FIELDS = ("collector", "reason", "raw", "size")
_KINDS = tuple(
    kind
    for model in get_args(get_args(Message)[0])
    if model is not Update
    for kind in get_args(get_type_hints(model)["kind"])
)
_OF_REJECTS = 20
"""The size of a piece of rejects, which may have a MiB each, as a fraction of other pieces."""
_BEGIN, _END = datetime.fromtimestamp(0, UTC), datetime(9999, 12, 31, tzinfo=UTC)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=7)


SessionCount = Literal["updates", "keepalives"]
"""A count of documents in a session's document."""


class ExpectedSpan(NamedTuple):
    """A number of documents that is expected from a time on."""

    since: datetime
    documents: int


async def every_document(
    store: Store, sessions: Sequence[SessionDocument], peers: Iterable[str], rejects: int
) -> AsyncIterator[tuple[Collection, Document]]:
    """Every document of a line, of all collectors, in no order; with the fields that identify its owner and place.

    Args:
        store: the store.
        sessions: the sessions whose documents are wanted, with tallies, which say how many documents are where.
        peers: more addresses whose documents are wanted.
        rejects: the expected number of rejects.
    """
    many = (await store.traits()).window_documents or sys.maxsize
    by_peer: dict[str, list[SessionDocument]] = {peer: [] for peer in peers}
    for session in sorted(sessions, key=lambda one: (one["since"], one["_id"])):
        by_peer.setdefault(session["peer"]["address"], []).append(session)
    for peer in (None, *sorted(by_peer)):
        own = by_peer[peer] if peer else []
        async for document in _in_pieces(store, "updates", {"peer.address": peer}, _spans(own, "updates", many), many):
            yield "updates", document
        for kind in _KINDS:
            query = {"peer.address": peer, "kind": kind}
            spans = _spans(own, "keepalives", many) if kind == "keepalive" else []
            async for document in _in_pieces(store, "messages", query, spans, many):
                yield "messages", document
    earliest = [ExpectedSpan(min(session["since"] for session in sessions), rejects)] if sessions else []
    async for document in _in_pieces(store, "rejects", {}, earliest, many // _OF_REJECTS, fields=_REJECT_FIELDS):
        yield "rejects", document


def _spans(sessions: Iterable[SessionDocument], tally: SessionCount, many: int) -> list[ExpectedSpan]:
    """Where documents are expected; consecutive short sessions are one span."""
    spans: list[ExpectedSpan] = []
    for session in sessions:
        if spans and spans[-1].documents + session[tally] <= many:
            spans[-1] = spans[-1]._replace(documents=spans[-1].documents + session[tally])
        else:
            spans.append(ExpectedSpan(session["since"], session[tally]))
    return spans


async def _in_pieces(
    store: Store,
    collection: Collection,
    query: Query,
    spans: Sequence[ExpectedSpan],
    many: int,
    *,
    fields: Sequence[str] = _FIELDS,
) -> AsyncIterator[Document]:
    starts = [ExpectedSpan(_BEGIN, 0), *spans]
    for (begin, left), (end, _) in zip(starts, [*starts[1:], ExpectedSpan(_END, 0)], strict=True):
        width = _SHORTEST
        while begin < end:
            # A session's tally says how much is left: if that is little, one piece holds all of it.
            until = end if left <= many else min(begin + width, end)
            found = 0
            async for document in store.find(
                collection, {**query, "ts": {"$gte": begin, "$lt": until}}, sort=IN_ORDER, fields=fields
            ):
                found += 1
                yield document
            left -= found
            width = min(width * 2, _LONGEST) if found < many // 2 else max(width / 2, _SHORTEST)
            begin = until
