"""Updates a session's counts with each line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from schemas.documents import Session
from schemas.message import Counted
from schemas.message_parts import Withdrawn


def counts_of(message: Any) -> Counted:
    """The counters in a neighbour's line."""
    kind, source = message.kind, message.source
    what = message.state if kind == "state" else kind
    return Counted(message.peer, source.pid, source.counter, what, message=message)


def tally(session: Session, ts: datetime, message: Any) -> None:
    """Count a message in its session's document, and note its time."""
    fields = vars(session)  # for every line: setting a field through the model takes many times as long
    fields["last_seen"] = ts
    if message.kind == "update":
        fields["updates"] += 1
        if message.announce:
            fields["announced"] += _routes(fields, message.announce)
        if message.withdraw:
            fields["withdrawn"] += _routes(fields, message.withdraw)
    elif message.kind == "keepalive":
        fields["keepalives"] += 1
        fields["last_keepalive"] = ts


def _routes(fields: dict[str, Any], groups: Sequence[Withdrawn]) -> int:
    """The number of routes; what distinguishes them is added to the session's fields."""
    count = 0
    for group in groups:
        # None: the session began with a version that did not note them.
        if (families := fields["families"]) is not None:
            if group["family"] not in families:
                fields["families"] = [*families, group["family"]]
            if "path_id" in group:
                fields["path_ids"] = True
        count += len(group.get("nlri") or group.get("objects", ()))
    return count
