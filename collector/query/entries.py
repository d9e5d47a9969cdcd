"""Converts documents to entries: the answers of `history`, `search` and `tail`."""

from __future__ import annotations

from typing import Any

import bson

from collector.query.attributes import AnswerFields, answered
from collector.rib.routes import RouteEntry, RouteKey, moment
from schemas.attributes import malformed
from schemas.query import Event, HistoryEntry
from schemas.snapshots import Snapshot
from schemas.stored import GapDocument, GroupDocument, SessionDocument, UpdateDocument

_HOW_LOST = {
    "pipe": "they were in ExaBGP's pipe when a receiver died",
    "disk": "the spool had no room",
    "end": "ExaBGP and its receiver died together, with what they still had",
    "spool": "a part of the spool is gone",
}
_NOT_LOST = {
    "feed": "the connection to the feed was lost: what was said until it was there again was missed",
    "reject": "a line could not be read, and may have said anything of its routes: it is in `rejects`",
    "session": "its session was not received from the beginning, or not without a break",
    "router": "its router could not be heard",
    "table": "its table in a RIB dump is not what the UPDATEs before it come to",
}


def route_entry(
    document: UpdateDocument, event: Event, group: GroupDocument, nlri: Any, attributes: AnswerFields
) -> HistoryEntry:
    """A route of an UPDATE.

    Args:
        document: the UPDATE.
        event: what it says about the route.
        group: the group of the route; its own fields override the attributes.
        nlri: the prefix, or what ExaBGP prints.
        attributes: the attributes of the route, or of the one that it ends, in the form of answers.
    """
    is_prefix = "nlri" in group
    error = document.get("attributes", {}).get("error")
    return HistoryEntry.model_validate(
        {
            **attributes,
            **group,
            "ts": document["ts"],
            "peer": document["peer"],
            "collector": document["collector"],
            "event": event,
            "error": error and malformed(error),
            "prefix": nlri if is_prefix else None,
            "object": None if is_prefix else nlri,
        }
    )


def table_entry(table: Snapshot, key: RouteKey, entry: RouteEntry) -> HistoryEntry:
    """A route of a peer's table in a RIB dump."""
    return HistoryEntry.model_validate(
        {
            **answered(bson.decode(entry.facts)),
            "ts": table.ts,
            "peer": table.peer,
            "collector": table.collector,
            "event": "table",
            "prefix": key.nlri,
            "family": key.family,
            "rd": key.rd,
            "path_id": key.path_id,
            "since": moment(entry.since),
        }
    )


def session_entry(session: SessionDocument, event: Event) -> HistoryEntry:
    """The begin or end of a session."""
    ended = event == "session_end"
    return HistoryEntry(
        ts=session["until" if ended else "since"],
        peer=session["peer"],
        collector=session["collector"],
        event=event,
        reason=session.get("reason") if ended else None,
    )


def gap_entry(gap: GapDocument, prefix: str | None = None) -> HistoryEntry:
    """A gap: what was said about the prefix meanwhile is unknown."""
    family = "ipv6 unicast" if prefix and ":" in prefix else "ipv4 unicast"
    return HistoryEntry(
        ts=gap["ts"],
        peer=gap["peer"],
        collector=gap["collector"],
        event="gap",
        prefix=prefix,
        family=family if prefix else None,
        since=gap.get("after"),
        lines=gap.get("lines"),
        reason=_reason(gap),
    )


def _reason(gap: GapDocument) -> str:
    lines, cause = gap.get("lines"), gap["cause"]
    count = "unknown lines" if lines is None else f"{lines} line{'s' * (lines != 1)}"
    if cause == "table" and "reason" in gap:
        return gap["reason"]
    if cause == "router" and "reason" in gap:
        return f"{_NOT_LOST[cause]}: {gap['reason']}"
    return _NOT_LOST.get(cause) or f"{count} lost: {_HOW_LOST[cause]}"
