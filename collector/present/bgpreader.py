"""`bgpreader`: the lines that CAIDA's `bgpreader` (libBGPStream 2) prints for its elements.

Of entries: `U|A, W or S|seconds|project|collector|router|router address|AS|peer|prefix|next hop|path|origin AS|
communities|old state|new state`; router and its address, which files of RouteViews or RIS do not tell, are empty.
Of routes, as of a dumped table: `R|R|seconds|...`, where the seconds are the moment at which they stand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TextIO, cast

from pydantic import BaseModel

from schemas.query import HistoryEntry, Route

_PROJECT = "bgpledger"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; how many lines."""
    count = 0
    async for answer in answers:
        entry = cast("HistoryEntry", answer)
        if entry.event != "gap" and entry.object is None:
            kind, rest = _body(entry)
            stream.write(_line("U", kind, entry.ts, entry, rest))
            count += 1
    return count


async def write_routes(answers: AsyncIterator[BaseModel], at: datetime, stream: TextIO) -> int:
    """Write routes of `rib` or `lookup`, which stand at a moment; how many lines."""
    count = 0
    async for answer in answers:
        route = cast("Route", answer)
        if route.prefix is not None and route.state != "unknown":
            stream.write(_line("R", "R", at, route, (route.prefix, *_attributes(route))))
            count += 1
    return count


def _line(dump: str, kind: str, ts: datetime, said: HistoryEntry | Route, rest: tuple[str, ...]) -> str:
    seconds = f"{int(ts.timestamp())}.{ts.microsecond:06}"
    place = (_PROJECT, said.collector or "", "", "")
    return "|".join(map(str, (dump, kind, seconds, *place, said.peer.asn, said.peer.address, *rest))) + "\n"


def _body(entry: HistoryEntry) -> tuple[str, tuple[str, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "S", ("", "", "", "", "", *(("OPENCONFIRM", "ESTABLISHED") if up else ("ESTABLISHED", "IDLE")))
    if entry.event != "announce":
        return "W", (entry.prefix, "", "", "", "", "", "")
    return "A", (entry.prefix, *_attributes(entry))


def _attributes(said: HistoryEntry | Route) -> tuple[str, ...]:
    path = said.as_path or ""
    # The origin is the last AS, or the whole set that stands there.
    origin = path.rpartition(" ")[2]
    if origin.endswith(")"):
        origin = path[path.rindex("(") :]
    return said.next_hop or "", path, origin, " ".join(said.communities or ()), "", ""
