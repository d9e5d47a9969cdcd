"""Reads documents in a total order that an index serves, and goes on where a server lost its place.

Indexes end with a time, and many documents have the same one. To sort by `_id` as well, a server would have to read all
that matches before it answers (a blocking sort, for which MongoDB has 100 MB). So it sorts by the time alone, and those
of one time, which come one after the other, are put in order here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, CursorNotFound

from collector.store.writes import Document

Sort = Sequence[tuple[str, int]]
"""A field, and `_id` behind it: pairs of a name and 1, or -1 for the highest first."""


class FindCommand(NamedTuple):
    """What is asked of a collection."""

    query: Mapping[str, Any]
    sort: Sort = ()
    limit: int = 0
    """0: all."""
    fields: Sequence[str] | None = None
    """None: all."""


def served(sort: Sort) -> list[tuple[str, int]]:
    """What the server is to sort by."""
    return list(sort[:1])


def read(collection: AsyncCollection[Document], question: FindCommand, batch: int) -> AsyncGenerator[Document, None]:
    """The documents that match; without a sort in no order.

    A cursor that the server forgot while nobody asked for more (ten minutes), or that went with its server, is opened
    again where it was, if there is a sort: each document is given once.

    Args:
        collection: where they are.
        question: which.
        batch: how many the server sends at once.
    """
    return _sorted(collection, question, batch) if question.sort else _unsorted(collection, question, batch)


async def _unsorted(
    collection: AsyncCollection[Document], question: FindCommand, batch: int
) -> AsyncGenerator[Document, None]:
    cursor = collection.find(question.query, _projection(question), limit=question.limit, batch_size=batch)
    try:
        async for document in cursor:
            yield document
    finally:
        await cursor.close()


async def _sorted(
    collection: AsyncCollection[Document], question: FindCommand, batch: int
) -> AsyncGenerator[Document, None]:
    query, sort, limit, _ = question
    given, begin, parted = 0, None, False
    while True:
        same: list[Document] = []
        count, most = 0, limit - given + 1 if limit and not parted else 0
        cursor = collection.find(query, _projection(question), sort=served(sort), limit=most, batch_size=batch)
        try:
            async for document in cursor:
                count += 1
                if same and _place(document, sort) != _place(same[0], sort):
                    for one in _in_order(same, sort):
                        yield one
                        given += 1
                        if given == limit:
                            return
                    same = []
                same.append(document)
        except (CursorNotFound, ConnectionFailure):
            if not same or _place(same[0], sort) == begin or not _can_begin(query, sort):
                raise
        else:
            parted = bool(most) and count == most  # by the limit, those of one place may be
            if not parted:
                for one in _in_order(same, sort)[: limit - given if limit else None]:
                    yield one
                return
        finally:
            await cursor.close()
        begin = _place(same[0], sort)
        query = _from(query, sort, begin)


def _projection(question: FindCommand) -> list[str] | None:
    if question.fields is None:
        return None
    return list(dict.fromkeys((*question.fields, *(name for name, _ in question.sort))))


def _place(document: Document, sort: Sort) -> Any:
    return document.get(sort[0][0])


def _in_order(same: list[Document], sort: Sort) -> list[Document]:
    """Documents of one place in the order of their keys."""
    return sorted(same, key=lambda one: one["_id"], reverse=sort[-1][1] < 0) if len(same) > 1 else same


def _can_begin(query: Mapping[str, Any], sort: Sort) -> bool:
    return isinstance(query.get(sort[0][0], {}), Mapping)


def _from(query: Mapping[str, Any], sort: Sort, begin: Any) -> Mapping[str, Any]:
    """The same question, from a place in its order on."""
    name, direction = sort[0]
    behind, bound = ({"$gt", "$gte"}, "$gte") if direction > 0 else ({"$lt", "$lte"}, "$lte")
    kept = {operator: value for operator, value in query.get(name, {}).items() if operator not in behind}
    return {**query, name: {**kept, bound: begin}}
