"""Properties of each kind of server, such as batch sizes, so that no other code depends on a server's name.

The answers do not depend on the traits. What one kind of server cannot do well at any size is never used: SecantusDB
reads the whole collection for `$or`, for `$elemMatch` with a range, for a range of `_id`, and for queries with more
conditions than the index; its aggregations are slow, and it has no change streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Traits:
    """How to write to and query a kind of server; the defaults are MongoDB's."""

    batch_lines: int = 1000
    """The maximum number of lines, or documents, in one write."""
    batches_in_flight: int = 4
    """The number of batches written concurrently, so that latency to a remote server does not add up."""
    window_documents: int | None = None
    """About how many documents a query for a time range should find. None: any number, as the server sends the first
    ones before it has read the last."""
    prefixes: int = 1000
    """The maximum number of prefixes in one query."""
    keys: int = 1000
    """The maximum number of document keys in one query."""
    narrows_lists: bool = True
    """Whether a query for one of several prefixes reads only the peer and the time range that it names. Otherwise it
    reads all that any peer ever said of each of them."""
    partial_indexes: bool = True
    """Whether it uses indexes over some documents alone (`partialFilterExpression`)."""


MONGODB = Traits()
SECANTUSDB = Traits(
    batch_lines=250, window_documents=4000, prefixes=10, keys=50, narrows_lists=False, partial_indexes=False
)
"""With 1,000 lines, a secantusd-rs whose cache is full retries one insert for minutes. Version 0.7.0b3 holds all that a
query finds in memory, 4 kB a document, and sorts it, before it returns the first document; and it compares each
document that an index finds with all values of an `$in`; of 81,600 UPDATEs of one prefix, a list with this prefix reads
all (5 s), the prefix alone those of the peer's last minute (4 ms)."""


def traits_of(build_info: Mapping[str, Any]) -> Traits:
    """The traits of a server, from its `buildInfo`."""
    return SECANTUSDB if "secantusVersion" in build_info else MONGODB
