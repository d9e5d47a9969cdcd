"""Reads documents in a total order that an index serves, and resumes if the server lost its cursor.

Indexes end with a time, and many documents may share one time. To sort by `_id` too, a server would have to read
everything that matches before it answers (a blocking sort, which MongoDB limits to 100 MB). So the server sorts by time
alone, and the documents of one time, which arrive together, are sorted here. If they are very many, as after a clock
was set back, only their keys are sorted, and the documents are then read in pieces.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, CursorNotFound

from collector.store.driver import Document, Query

Sort = Sequence[tuple[str, int]]
"""A field, then `_id`: pairs of a name and 1 (ascending) or -1 (descending)."""


_MOST_OF_ONE_PLACE = 4000
"""The maximum number of documents of one time in memory."""
_PIECE = 100
"""How many documents are read together otherwise: SecantusDB compares each with all keys in the query."""


class FindCommand(NamedTuple):
    """A find command."""

    query: Query
    sort: Sort = ()
    limit: int = 0
    """0: no limit."""
    fields: Sequence[str] | None = None
    """None: all."""


def served(sort: Sort) -> list[tuple[str, int]]:
    """The server's sort order."""
    return list(sort[:1])


def read(collection: AsyncCollection[Document], question: FindCommand, batch: int) -> AsyncGenerator[Document, None]:
    """The matching documents; without a sort in undefined order.

    If there is a sort, a cursor that the server dropped after ten idle minutes, or that was lost with its server, is
    reopened where it was: each document is given once.

    Args:
        collection: the collection to read.
        question: what to find.
        batch: how many documents the server sends at once.
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
    given = 0
    async with aclosing(_places(collection, question, batch)) as places:
        async for same in places:
            for one in same:
                yield one
                given += 1
                if given == question.limit:
                    return


async def _places(
    collection: AsyncCollection[Document], question: FindCommand, batch: int
) -> AsyncGenerator[list[Document], None]:
    """The documents of each sort value together, or in pieces where they are many; may exceed the limit a little."""
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
                    yield _in_order(same, sort)
                    given += len(same)
                    same = []
                same.append(document)
                if len(same) > _MOST_OF_ONE_PLACE:
                    break
        except (CursorNotFound, ConnectionFailure):
            if not same or _place(same[0], sort) == begin or not _can_begin(query, sort):
                raise
        else:
            parted = bool(most) and count == most  # the limit may cut through documents of one sort value
            if not parted and len(same) <= _MOST_OF_ONE_PLACE:
                yield _in_order(same, sort)
                return
        finally:
            await cursor.close()
        begin, crowded = _place(same[0], sort), len(same) > _MOST_OF_ONE_PLACE
        if crowded:
            parted = False
            async with aclosing(_crowd(collection, question, begin, batch)) as pieces:
                async for piece in pieces:
                    yield piece
                    given += len(piece)
            if not _can_begin(query, sort):
                return
        query = _from(query, sort, begin, without=crowded)


async def _crowd(
    collection: AsyncCollection[Document], question: FindCommand, place: Any, batch: int
) -> AsyncGenerator[list[Document], None]:
    """All documents of one sort value, in the order of their keys; only the keys are all in memory."""
    query = {**question.query, question.sort[0][0]: place}
    keys = [one["_id"] async for one in _unsorted(collection, FindCommand(query, fields=("_id",)), batch)]
    keys.sort(reverse=question.sort[-1][1] < 0)
    for at in range(0, len(keys), _PIECE):
        # By their keys alone: with any other condition SecantusDB reads the whole collection.
        piece = FindCommand({"_id": {"$in": keys[at : at + _PIECE]}}, question.sort, fields=question.fields)
        yield [one async for one in _sorted(collection, piece, batch)]


def _projection(question: FindCommand) -> list[str] | None:
    if question.fields is None:
        return None
    return list(dict.fromkeys((*question.fields, *(name for name, _ in question.sort))))


def _place(document: Document, sort: Sort) -> Any:
    return document.get(sort[0][0])


def _in_order(same: list[Document], sort: Sort) -> list[Document]:
    """Documents of one sort value in the order of their keys."""
    return sorted(same, key=lambda one: one["_id"], reverse=sort[-1][1] < 0) if len(same) > 1 else same


def _can_begin(query: Query, sort: Sort) -> bool:
    """Whether the query covers more than one sort value."""
    return isinstance(query.get(sort[0][0], {}), Mapping)


def _from(query: Query, sort: Sort, place: Any, *, without: bool = False) -> Query:
    """The same query, starting at, or after, a sort value."""
    if not _can_begin(query, sort):
        return query
    name, direction = sort[0]
    bound = "$gt" if direction > 0 else "$lt"
    kept = {operator: value for operator, value in query.get(name, {}).items() if operator not in (bound, f"{bound}e")}
    return {**query, name: {**kept, bound if without else f"{bound}e": place}}
