"""`bgpdump`: the lines of RIPE NCC's `bgpdump -m`, so that scripts that read them keep working.

Of entries: `BGP4MP|seconds|A|peer|AS|prefix|path|origin|next hop|LOCAL_PREF|MED|communities|AG or NAG|aggregator|`,
`...|W|peer|AS|prefix`, `...|STATE|peer|AS|old|new` with the numbers of RFC 6396 4.4.1. Of routes, as of a dumped table:
`TABLE_DUMP2|seconds|B|peer|...`, where the seconds are the moment at which they stand. As there, an absent LOCAL_PREF
or MED is 0, a path ID stands behind the prefix (`BGP4MP_AP`, `TABLE_DUMP2_AP`), only standard communities are shown; of
gaps, of what they hide, and of routes that are no prefixes, nothing is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TextIO, cast

from pydantic import BaseModel

from schemas.query import HistoryEntry, Route

_IDLE, _OPEN_CONFIRM, _ESTABLISHED = 1, 5, 6
_NAMED = {"65535:65281": "no-export", "65535:65282": "no-advertise", "65535:65283": "local-AS"}


async def write(answers: AsyncIterator[BaseModel], _kind: type[BaseModel], stream: TextIO) -> int:
    """Write entries of `history`, `search` or `tail`; how many lines."""
    count = 0
    async for answer in answers:
        entry = cast("HistoryEntry", answer)
        if entry.event != "gap" and entry.object is None:
            kind, rest = _body(entry)
            stream.write(_line("BGP4MP", entry, entry.ts, kind, rest))
            count += 1
    return count


async def write_routes(answers: AsyncIterator[BaseModel], at: datetime, stream: TextIO) -> int:
    """Write routes of `rib` or `lookup`, which stand at a moment; how many lines."""
    count = 0
    async for answer in answers:
        route = cast("Route", answer)
        if route.prefix is not None and route.state != "unknown":
            stream.write(_line("TABLE_DUMP2", route, at, "B", (route.prefix, *_path_id(route), *_attributes(route))))
            count += 1
    return count


def _line(form: str, said: HistoryEntry | Route, ts: datetime, kind: str, rest: tuple[object, ...]) -> str:
    form += "" if said.path_id is None else "_AP"
    return "|".join(map(str, (form, int(ts.timestamp()), kind, said.peer.address, said.peer.asn, *rest))) + "\n"


def _body(entry: HistoryEntry) -> tuple[str, tuple[object, ...]]:
    if entry.prefix is None:
        up = entry.event == "session_up"
        return "STATE", (_OPEN_CONFIRM, _ESTABLISHED) if up else (_ESTABLISHED, _IDLE)
    if entry.event != "announce":
        # A session's end takes a route away without a word; bgpdump has no other for it.
        return "W", (entry.prefix, *_path_id(entry))
    return "A", (entry.prefix, *_path_id(entry), *_attributes(entry))


def _path_id(said: HistoryEntry | Route) -> tuple[int, ...]:
    return () if said.path_id is None else (said.path_id,)


def _attributes(said: HistoryEntry | Route) -> tuple[object, ...]:
    aggregator = said.aggregator
    return (
        said.as_path or "",
        (said.origin or "").upper(),
        said.next_hop or "",
        said.local_pref or 0,
        said.med or 0,
        " ".join(_NAMED.get(one, one) for one in said.communities or ()),
        "AG" if said.atomic_aggregate else "NAG",
        f"{aggregator.asn} {aggregator.address}" if aggregator else "",
        "",
    )
