"""`bgpreader`: the lines that CAIDA's `bgpreader` (libBGPStream 2) prints for its elements.

`U|A, W or S|seconds|project|collector|router|router address|AS|peer|prefix|next hop|path|origin AS|communities|old
state|new state`; router and its address, which RouteViews' and RIS' files do not tell either, are empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO, cast

from pydantic import BaseModel

from schemas.query import HistoryEntry

_PROJECT = "bgpledger"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; how many lines."""
    count = 0
    async for answer in answers:
        entry = cast("HistoryEntry", answer)
        if entry.event != "gap" and entry.object is None:
            stream.write(_line(entry) + "\n")
            count += 1
    return count


def _line(entry: HistoryEntry) -> str:
    kind, rest = _body(entry)
    seconds = f"{int(entry.ts.timestamp())}.{entry.ts.microsecond:06}"
    place = (_PROJECT, entry.collector or "", "", "")
    return "|".join(map(str, ("U", kind, seconds, *place, entry.peer.asn, entry.peer.address, *rest)))


def _body(entry: HistoryEntry) -> tuple[str, tuple[str, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "S", ("", "", "", "", "", *(("OPENCONFIRM", "ESTABLISHED") if up else ("ESTABLISHED", "IDLE")))
    if entry.event != "announce":
        return "W", (entry.prefix, "", "", "", "", "", "")
    path = entry.as_path or ""
    # The origin is the last AS, or the whole set that stands there.
    origin = path.rpartition(" ")[2]
    if origin.endswith(")"):
        origin = path[path.rindex("(") :]
    return "A", (entry.prefix, entry.next_hop or "", path, origin, " ".join(entry.communities or ()), "", "")
