"""`bgpdump`: the lines of RIPE NCC's `bgpdump -m`, so that scripts that read them keep working.

`BGP4MP|seconds|A|peer|AS|prefix|path|origin|next hop|LOCAL_PREF|MED|communities|AG or NAG|aggregator|`, `...|W|peer|
AS|prefix`, `...|STATE|peer|AS|old|new` with the numbers of RFC 6396 4.4.1. As there, an absent LOCAL_PREF or MED is
0, a path ID stands behind the prefix, only standard communities are shown; of gaps, and of routes that are no
prefixes, nothing is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TextIO, cast

from pydantic import BaseModel

from schemas.query import HistoryEntry

_IDLE, _OPEN_CONFIRM, _ESTABLISHED = 1, 5, 6
_NAMED = {"65535:65281": "no-export", "65535:65282": "no-advertise", "65535:65283": "local-AS"}


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
    fields = ("BGP4MP", int(entry.ts.timestamp()), kind, entry.peer.address, entry.peer.asn, *rest)
    return "|".join(map(str, fields))


def _body(entry: HistoryEntry) -> tuple[str, tuple[object, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "STATE", (_OPEN_CONFIRM, _ESTABLISHED) if up else (_ESTABLISHED, _IDLE)
    path_id = () if entry.path_id is None else (entry.path_id,)
    if entry.event != "announce":
        # A session's end takes a route away without a word; bgpdump has no other for it.
        return "W", (entry.prefix, *path_id)
    aggregator = entry.aggregator
    return "A", (
        entry.prefix,
        *path_id,
        entry.as_path or "",
        (entry.origin or "").upper(),
        entry.next_hop or "",
        entry.local_pref or 0,
        entry.med or 0,
        " ".join(_NAMED.get(one, one) for one in entry.communities or ()),
        "AG" if entry.atomic_aggregate else "NAG",
        f"{aggregator.asn} {aggregator.address}" if aggregator else "",
        "",
    )
