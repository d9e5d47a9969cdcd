"""An AS: what it originates, who is next to it in the paths, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse

from bgpledger import DeadlineError, HistoryEntry, UsageError, parse_filter, parse_time
from collector.http.graph.story import Path, hops_of
from collector.http.pages.patience import EnoughError, up_to
from collector.http.pages.rendering import Shown, page_router, render
from collector.http.parameters import text
from collector.http.query_context import QueryContext, QueryContextDep
from collector.query.batch import Batch
from schemas.scalars import parse_asn
from schemas.stored import name_of

router = page_router()

_ROWS = 500
"""The maximum number of rows in a table; the rest are counted."""
_CHANGES = 50
_SECONDS = 1.0
"""How long tables are read, and changes searched, unless all of them are requested."""


class AsOptions(Shown):
    """The time of the tables."""

    at: str | None = text("The moment; without, now.")
    whole: bool = Field(default=False, description="Read all tables, however long that takes.")


class Originated(NamedTuple):
    """A prefix that it originates."""

    prefix: str
    peers: int
    since: datetime


@dataclass
class AsInTables:
    """What the tables of all peers have about an AS."""

    asn: str
    left: Counter[str] = field(default_factory=Counter)
    """The ASes next to it towards us: how many routes come through each."""
    right: Counter[str] = field(default_factory=Counter)
    """Next to it towards the origin."""
    routes: int = 0
    read: int = 0
    """The number of routes that were read."""
    is_whole: bool = True
    """Whether all tables were read."""
    _peers: dict[str, set[str]] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add routes of a table."""
        self.read += len(batch.items)
        found = batch.mentioning(self.asn.encode())
        hops = (
            {facts: hops_of(attributes["as_path"] or "") for facts, attributes in found.facts().items()}
            if found.items
            else {}
        )
        peer = name_of(batch.rib.session["peer"])
        for key, entry in found.items:
            way = hops[entry.facts]
            if self.asn not in way:  # in a set, it is next to no AS
                continue
            self._add_way(way)
            if way[-1] == self.asn and key.is_prefix:
                self._peers.setdefault(key.nlri, set()).add(peer)
                since = datetime.fromtimestamp(entry.since / 1000, UTC)
                self._since[key.nlri] = min(self._since.get(key.nlri, since), since)

    def _add_way(self, way: Path) -> None:
        self.routes += 1
        at = way.index(self.asn)
        if at:
            self.left[way[at - 1]] += 1
        if at + 1 < len(way):
            self.right[way[at + 1]] += 1

    @property
    def originated(self) -> Sequence[Originated]:
        """The prefixes that it originates."""
        return [Originated(prefix, len(names), self._since[prefix]) for prefix, names in self._peers.items()]


@router.get("/as/{asn}")
async def autonomous_system(
    request: Request, asn: str, context: QueryContextDep, wanted: Annotated[AsOptions, Query()]
) -> HTMLResponse:
    """The page."""
    try:
        number = parse_asn(asn)
    except ValueError as error:
        raise UsageError(f"{asn!r}: {error}", "give a number, such as 64500, AS64500 or 1.10") from None
    at = parse_time(wanted.at)
    seen = await _look(context, number, at, context.deadline if wanted.whole else _SECONDS)
    changes = await _changes(context, number, wanted.at, context.deadline if wanted.whole else _SECONDS)
    return render(
        request,
        "as.html",
        asn=number,
        moment=at or datetime.now(UTC),
        at=wanted.at,
        seen=seen,
        rows=_ROWS,
        changes=changes,
        notes=[*dict.fromkeys(context.notes)],
    )


async def _look(context: QueryContext, asn: int, at: datetime | None, seconds: float) -> AsInTables:
    seen = AsInTables(str(asn))
    try:
        async with context.archive.rib_batches(at=at, deadline=context.deadline, progress=up_to(seconds)) as batches:
            async for batch in batches:
                seen.add(batch)
    except EnoughError:
        seen.is_whole = False
    return seen


async def _changes(context: QueryContext, asn: int, end: str | None, seconds: float) -> Sequence[HistoryEntry] | None:
    """The newest changes first; None if the query takes too long."""
    origin = parse_filter({"origin": str(asn), "end": end})
    try:
        async with context.archive.search(origin, limit=_CHANGES, deadline=seconds) as entries:
            return [entry async for entry in entries if entry.prefix][::-1]
    except DeadlineError:
        return None
