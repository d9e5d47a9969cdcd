"""What each line adds to the counts of its session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from schemas.documents import Session
from schemas.message import Counted, Withdrawn


def counts_of(message: Any) -> Counted:
    """What a neighbour's line says of itself."""
    kind, source = message.kind, message.source
    told = message.state if kind == "state" else kind
    return Counted(message.peer, source.pid, source.counter, told, message=message)


def tally(session: Session, ts: datetime, message: Any) -> None:
    """Add a line to its session's sums, and to what was heard of it last."""
    fields = vars(session)  # by every line: a model's own way to set a field takes many times as long
    fields["last_seen"] = ts
    if message.kind == "update":
        fields["updates"] += 1
        if message.announce:
            fields["announced"] += _routes(message.announce)
        if message.withdraw:
            fields["withdrawn"] += _routes(message.withdraw)
    elif message.kind == "keepalive":
        fields["keepalives"] += 1
        fields["last_keepalive"] = ts


def _routes(groups: Sequence[Withdrawn]) -> int:
    count = 0
    for group in groups:
        count += len(group.get("nlri") or group.get("objects", ()))
    return count
