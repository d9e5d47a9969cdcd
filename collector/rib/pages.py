"""Pages: some thousands of routes, packed together.

One document for each route would be easier to read, but a hundred times as expensive to write to the embedded store;
arrays of plain values take six times the space, and three times as long to read (docs/decisions/0009-tables.md).
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import bson
import zstandard

from collector.rib.routes import WITHDRAWN, Items, RouteEntry, RouteKey, order

ROUTES = 4000
"""The number of routes in a page, which are read, and held in memory, together."""

_LEVEL = 3
_NO_PATH_ID = -1
_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and a page has thousands."""


class PackedPage(NamedTuple):
    """A page, and the range of its routes."""

    packed: bytes
    routes: int
    first: bytes
    last: bytes
    """The places of its first and last route in the order of all routes."""
    families: Mapping[str, int]
    """The number of its routes by family."""


def page_of(items: Items) -> PackedPage:
    """A page of these routes, which are in order."""
    return PackedPage(pack(items), len(items), order(items[0][0]), order(items[-1][0]), families(items))


def families(items: Items) -> Counter[str]:
    """The number of routes by family."""
    return Counter(key.family for key, _ in items)


def pack(items: Items) -> bytes:
    """The bytes of a page of these routes, which are in order.

    BSON, compressed with zstd: `nlri`, one a line; `since`, int64 milliseconds; `kinds`, families with their route
    distinguishers; `facts`, without duplicates; and for each route the indexes of its kind and its facts as uint32, and
    its path ID as int64, -1 for none. All numbers are little-endian.
    """
    kinds: dict[tuple[str, str | None], int] = {}
    facts: dict[bytes, int] = {}
    page = {
        "nlri": "\n".join(key.nlri for key, _ in items),
        "since": _bytes("q", [entry.since for _, entry in items]),
        "kind": _bytes("I", [kinds.setdefault(key[:2], len(kinds)) for key, _ in items]),
        "path_id": _bytes("q", [_NO_PATH_ID if key.path_id is None else key.path_id for key, _ in items]),
        "fact": _bytes("I", [facts.setdefault(entry.facts, len(facts)) for _, entry in items]),
    }
    page |= {"kinds": [list(kind) for kind in kinds], "facts": list(facts)}
    return zstandard.ZstdCompressor(_LEVEL).compress(bson.encode(page))


def unpack(page: bytes, only: Container[str] | None = None) -> Items:
    """The routes of a page, in order; with `only`, those whose text (`RouteKey.nlri`) is in it."""
    document = bson.decode(zstandard.ZstdDecompressor().decompress(page))
    families, rds = zip(*document["kinds"], strict=True)
    nlri: list[str] = document["nlri"].split("\n")
    kind, since = _numbers("I", document["kind"]), _numbers("q", document["since"])
    path_id, fact = _numbers("q", document["path_id"]), _numbers("I", document["fact"])
    if only is not None:
        where = [at for at, name in enumerate(nlri) if name in only]
        nlri = [nlri[at] for at in where]
        kind, since, path_id, fact = (
            array(one.typecode, map(one.__getitem__, where)) for one in (kind, since, path_id, fact)
        )
    # Column by column: a loop over the routes takes twice as long.
    path_ids = (None if one == _NO_PATH_ID else one for one in path_id)
    of_keys = map(families.__getitem__, kind), map(rds.__getitem__, kind), path_ids, nlri
    keys = map(_new, repeat(RouteKey), zip(*of_keys, strict=True))
    facts = map(document["facts"].__getitem__, fact)
    items: Items = list(zip(keys, map(_new, repeat(RouteEntry), zip(since, facts, strict=True)), strict=True))
    gone = min(since, default=0) < 0
    return [(key, entry if entry.since >= 0 else WITHDRAWN) for key, entry in items] if gone else items


def _some(numbers: array[int], where: Sequence[int]) -> array[int]:
    return array(numbers.typecode, map(numbers.__getitem__, where))


def _bytes(kind: str, values: list[int]) -> bytes:
    numbers = array(kind, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, values: bytes) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
