"""`bgpreader`: the line format of CAIDA's `bgpreader` (libBGPStream 2).

Entries: `U|A, W or S|seconds|project|collector|router|router address|AS|peer|prefix|next hop|path|origin AS|
communities|old state|new state`; The router and its address, which files of RouteViews and RIS do not contain, are
empty. Routes, as from a table dump: `R|R|seconds|...`, where the seconds are the time of the table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial
from typing import TextIO

from pydantic import BaseModel

from collector.present.elements import joined, write_batches, write_entries
from collector.query.attributes import AnswerFields
from collector.query.batch import Batch
from schemas.query import HistoryEntry, Route

_PROJECT = "bgpledger"


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; returns the number of lines."""
    return await write_entries(answers, _line, stream)


async def write_routes(batches: AsyncIterator[Batch], at: datetime, stream: TextIO) -> int:
    """Write the routes of `rib` or `lookup` at a time, from their stored form; returns the number of lines."""
    return await write_batches(batches, partial(_routes, at=at), stream)


def _routes(batch: Batch, at: datetime) -> Iterator[str]:
    begin = joined("R", "R", *_begin(at, batch.rib.blank))
    ends = {facts: joined(*_attributes(attributes)) for facts, attributes in batch.facts().items()}
    for key, entry in batch.items:
        if key.is_prefix:
            yield f"{begin}|{key.nlri}|{ends[entry.facts]}\n"


def _line(entry: HistoryEntry) -> str:
    kind, rest = _body(entry)
    return joined("R" if kind == "R" else "U", kind, *_begin(entry.ts, entry), *rest)


def _begin(ts: datetime, entry: HistoryEntry | Route) -> tuple[object, ...]:
    seconds = f"{int(ts.timestamp())}.{ts.microsecond:06}"
    return seconds, _PROJECT, entry.collector or "", "", "", entry.peer.asn, entry.peer.address


def _body(entry: HistoryEntry) -> tuple[str, tuple[str, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "S", ("", "", "", "", "", *(("OPENCONFIRM", "ESTABLISHED") if up else ("ESTABLISHED", "IDLE")))
    if entry.event not in ("announce", "table"):
        return "W", (entry.prefix, "", "", "", "", "", "")
    return "R" if entry.event == "table" else "A", (entry.prefix, *_attributes(vars(entry)))


def _attributes(attributes: AnswerFields) -> tuple[str, ...]:
    path = attributes["as_path"] or ""
    # The origin is the last AS, or the whole AS_SET at the end.
    origin = path.rpartition(" ")[2]
    if origin.endswith(")"):
        origin = path[path.rindex("(") :]
    return attributes["next_hop"] or "", path, origin, " ".join(attributes["communities"] or ()), "", ""
