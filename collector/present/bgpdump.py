"""`bgpdump`: the line format of RIPE NCC's `bgpdump -m`, for scripts that read it.

Entries: `BGP4MP|seconds|A|peer|AS|prefix|path|origin|next hop|LOCAL_PREF|MED|communities|AG or NAG|aggregator|`,
`...|W|peer|AS|prefix`, `...|STATE|peer|AS|old|new` with the numbers of RFC 6396 4.4.1. Routes, as from a table dump:
`TABLE_DUMP2|seconds|B|peer|...`, where the seconds are the time of the table. As in bgpdump, an absent LOCAL_PREF or
MED is 0, a path ID follows the prefix (`BGP4MP_AP`, `TABLE_DUMP2_AP`), and only standard communities are shown. Gaps,
routes that they hide, and routes that are not prefixes are left out.
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
from schemas.peer import Peer
from schemas.query import HistoryEntry

_IDLE, _OPEN_CONFIRM, _ESTABLISHED = 1, 5, 6
_NAMED = {"65535:65281": "no-export", "65535:65282": "no-advertise", "65535:65283": "local-AS"}


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; returns the number of lines."""
    return await write_entries(answers, _line, stream)


async def write_routes(batches: AsyncIterator[Batch], at: datetime, stream: TextIO) -> int:
    """Write the routes of `rib` or `lookup` at a time, from their stored form; returns the number of lines."""
    return await write_batches(batches, partial(_routes, at=at), stream)


def _routes(batch: Batch, at: datetime) -> Iterator[str]:
    begin = joined(*_begin(at, "B", batch.rib.blank.peer))
    ends = {facts: joined(*_attributes(attributes)) for facts, attributes in batch.facts().items()}
    for key, entry in batch.items:
        if not key.is_prefix:
            continue
        if key.path_id is None:
            yield f"TABLE_DUMP2|{begin}|{key.nlri}|{ends[entry.facts]}\n"
        else:
            yield f"TABLE_DUMP2_AP|{begin}|{key.nlri}|{key.path_id}|{ends[entry.facts]}\n"


def _line(entry: HistoryEntry) -> str:
    kind, rest = _body(entry)
    form = "TABLE_DUMP2" if entry.event == "table" else "BGP4MP"
    form += "" if entry.path_id is None else "_AP"
    return joined(form, *_begin(entry.ts, kind, entry.peer), *rest)


def _begin(ts: datetime, kind: str, peer: Peer) -> tuple[object, ...]:
    return int(ts.timestamp()), kind, peer.address, peer.asn


def _body(entry: HistoryEntry) -> tuple[str, tuple[object, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "STATE", (_OPEN_CONFIRM, _ESTABLISHED) if up else (_ESTABLISHED, _IDLE)
    prefix = (entry.prefix,) if entry.path_id is None else (entry.prefix, entry.path_id)
    if entry.event not in ("announce", "table"):
        # The end of a session removes a route without a message; bgpdump has no other line for it.
        return "W", prefix
    return "B" if entry.event == "table" else "A", (*prefix, *_attributes(vars(entry)))


def _attributes(attributes: AnswerFields) -> tuple[object, ...]:
    aggregator = attributes["aggregator"]
    return (
        attributes["as_path"] or "",
        (attributes["origin"] or "").upper(),
        attributes["next_hop"] or "",
        attributes["local_pref"] or 0,
        attributes["med"] or 0,
        " ".join(_NAMED.get(one, one) for one in attributes["communities"] or ()),
        "AG" if attributes["atomic_aggregate"] else "NAG",
        f"{aggregator.asn} {aggregator.address}" if aggregator else "",
        "",
    )
