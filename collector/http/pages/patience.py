"""The time limit of pages: one that would have to read too much stops reading, and says so."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

FEW = 5000
"""Routes and UPDATEs that are read however long that takes: a busy machine is no reason to say that there are many."""


class EnoughError(Exception):
    """Nothing more is to be read."""


def up_to(seconds: float) -> Callable[[int, int | None], None]:
    """Stops a question that tells its progress after some seconds."""
    over = monotonic() + seconds

    def progress(read: int, _of: int | None) -> None:
        if read > FEW and monotonic() >= over:
            raise EnoughError

    return progress
