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
    """How a server wants to be written to and asked; MongoDB's own, where nothing else is said."""

    batch_lines: int = 1000
    """Lines, or documents, that are written at once at most."""
    batches_in_flight: int = 4
    """Batches that are written at once, so that a server far away does not keep each waiting for the one before."""
    window_documents: int | None = None
    """Documents that a question for a range of time should find, more or less. None: any number, as it sends the first
    ones before it has read the last."""
    prefixes: int = 1000
    """Prefixes in one question at most."""
    keys: int = 1000
    """Documents' keys in one question at most."""
    partial_indexes: bool = True
    """Whether it answers questions by an index over some documents alone (`partialFilterExpression`)."""


MONGODB = Traits()
SECANTUSDB = Traits(batch_lines=250, window_documents=4000, prefixes=10, keys=50, partial_indexes=False)
"""With 1,000 lines a secantusd-rs whose cache is full tries one insert again and again, for minutes. Version 0.7.0b3
holds all that a question finds in memory, 4 kB a document, and sorts it, before it gives the first; and it compares
each document that an index finds with all values of an `$in`."""


def traits_of(build_info: Mapping[str, Any]) -> Traits:
    """The traits of a server that says this of itself (`buildInfo`)."""
    return SECANTUSDB if "secantusVersion" in build_info else MONGODB
