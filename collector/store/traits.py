"""What a kind of server is good at, so that nothing else has to know its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Traits:
    """How a server wants to be written to."""

    batch_lines: int
    """Lines in a batch at most."""
    batches_in_flight: int
    """Batches that are written at once, so that a server far away does not keep each waiting for the one before."""


MONGODB = Traits(batch_lines=1000, batches_in_flight=4)
SECANTUSDB = Traits(batch_lines=250, batches_in_flight=4)
"""With 1,000 lines a secantusd-rs whose cache is full tries one insert again and again, for minutes."""


def traits_of(build_info: Mapping[str, Any]) -> Traits:
    """The traits of a server that says this of itself (`buildInfo`)."""
    return SECANTUSDB if "secantusVersion" in build_info else MONGODB
