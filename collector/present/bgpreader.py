"""`bgpreader`: the lines that CAIDA's `bgpreader` (libBGPStream 2) prints for its elements.

Of entries: `U|A, W or S|seconds|project|collector|router|router address|AS|peer|prefix|next hop|path|origin AS|
communities|old state|new state`; router and its address, which files of RouteViews or RIS do not tell, are empty.
Of routes, as of a dumped table: `R|R|seconds|...`, where the seconds are the moment at which they stand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any, TextIO, cast

from pydantic import BaseModel

from collector.query.batch import Batch
from schemas.query import OWN_EVENTS, HistoryEntry, Route

_PROJECT = "bgpledger"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; how many lines."""
    count = 0
    async for answer in answers:
        entry = cast("HistoryEntry", answer)
        if entry.event not in ("gap", *OWN_EVENTS) and entry.object is None:
            kind, rest = _body(entry)
            stream.write(f"{_joined('R' if kind == 'R' else 'U', kind, *_begin(entry.ts, entry), *rest)}\n")
            count += 1
    return count


async def write_routes(batches: AsyncIterator[Batch], at: datetime, stream: TextIO) -> int:
    """Write routes of `rib` or `lookup`, which stand at a moment, of what is stored; how many lines."""
    count = 0
    async for batch in batches:
        lines = [] if batch.hidden else list(_routes(batch, at))
        stream.writelines(lines)
        count += len(lines)
    return count


def _routes(batch: Batch, at: datetime) -> Iterator[str]:
    begin = _joined("R", "R", *_begin(at, batch.rib.blank))
    ends = {facts: _joined(*_attributes(said)) for facts, said in batch.facts().items()}
    for key, entry in batch.items:
        if key.is_prefix:
            yield f"{begin}|{key.nlri}|{ends[entry.facts]}\n"


def _joined(*cells: object) -> str:
    return "|".join(map(str, cells))


def _begin(ts: datetime, said: HistoryEntry | Route) -> tuple[object, ...]:
    seconds = f"{int(ts.timestamp())}.{ts.microsecond:06}"
    return seconds, _PROJECT, said.collector or "", "", "", said.peer.asn, said.peer.address


def _body(entry: HistoryEntry) -> tuple[str, tuple[str, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "S", ("", "", "", "", "", *(("OPENCONFIRM", "ESTABLISHED") if up else ("ESTABLISHED", "IDLE")))
    if entry.event not in ("announce", "table"):
        return "W", (entry.prefix, "", "", "", "", "", "")
    return "R" if entry.event == "table" else "A", (entry.prefix, *_attributes(vars(entry)))


def _attributes(said: Mapping[str, Any]) -> tuple[str, ...]:
    path = said["as_path"] or ""
    # The origin is the last AS, or the whole set that stands there.
    origin = path.rpartition(" ")[2]
    if origin.endswith(")"):
        origin = path[path.rindex("(") :]
    return said["next_hop"] or "", path, origin, " ".join(said["communities"] or ()), "", ""
