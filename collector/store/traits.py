"""Properties of each kind of server, such as batch sizes, so that no other code depends on its name.

The answers are the same whatever the traits say. What one kind can't do well at any size is asked of none: SecantusDB
reads the whole collection for `$or`, for `$elemMatch` with a range, for a range of `_id`, and where a question has more
conditions than its index; its aggregations are slow, and it has no change streams.
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
    """Batches that are written concurrently, so that latency to a remote server does not add up."""
    window_documents: int | None = None
    """Documents that a question for a range of time should find, more or less. None: any number, as it sends the first
    ones before it has read the last."""
    prefixes: int = 1000
    """The maximum number of prefixes in one query."""
    keys: int = 1000
    """The maximum number of document keys in one query."""
    partial_indexes: bool = True
    """Whether it answers questions by an index over some documents alone (`partialFilterExpression`)."""


MONGODB = Traits()
SECANTUSDB = Traits(batch_lines=250, window_documents=4000, prefixes=10, keys=50, partial_indexes=False)
"""With 1,000 lines a secantusd-rs whose cache is full tries one insert again and again, for minutes. Version 0.7.0b3
holds all that a question finds in memory, 4 kB a document, and sorts it, before it gives the first; and it compares
each document that an index finds with all values of an `$in`."""


def traits_of(build_info: Mapping[str, Any]) -> Traits:
    """The traits of a server, from its `buildInfo`."""
    return SECANTUSDB if "secantusVersion" in build_info else MONGODB
