"""The newest entries of `history`: read backwards from the end until there are enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from collector.query import streams
from collector.query.attributes import answered
from collector.query.entries import gap_entry, route_entry, table_entry
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, carried, history
from collector.query.history_rows import few_peers, rows_within
from collector.query.naming import has_one_route_to_each, is_plain
from collector.query.newest import newest
from collector.query.prefix_windows import EPOCH, FIRST_WINDOW, NARROWER, NARROWEST_WINDOW, PrefixReader, next_width
from collector.query.routes import AnnouncedRoute, route_of
from collector.query.routes_before import RoutesBefore
from collector.query.streams import GapRow, OwnRow, Row, SessionRow, TableRow, UpdateRow
from collector.rib.routes import groups
from collector.store.mongo import Store
from schemas.peer import Peer
from schemas.query import HistoryEntry
from schemas.stored import SessionDocument, UpdateDocument


async def history_newest(store: Store, question: HistoryQuery, limit: int) -> AsyncIterator[HistoryEntry]:
    """The newest `limit` entries of `history`, oldest first.

    They are read backwards from the end, in windows of a minute, then of about a thousand UPDATEs, until there are
    enough. Then the routes are looked up that were announced before, and withdrawn since.
    """
    filters = question.filters
    reader = PrefixReader(store, question.prefix)
    await reader.read_few()
    few = await few_peers(reader, filters)
    if few is None:
        async for entry in newest(history(store, question), limit):
            yield entry
        return
    found = _Backwards(question.prefix, filters, limit)
    ours: list[OwnRow] = []
    if question.with_ours:
        from collector.query.own_events import own_rows

        ours = [row async for row in own_rows(store, question.prefix)]
    peers, covered = few
    first = filters.start or (covered.since or EPOCH) - streams.SLACK
    end, width = filters.end, FIRST_WINDOW
    at = min(filter(None, (covered.upto, end)), default=first)
    while True:
        width = max(min(width, at - first), NARROWEST_WINDOW)
        is_last = at - width <= first
        begin = (filters.start or EPOCH) if is_last else at - width
        updates = await reader.read(begin, end, peers, whole=width <= NARROWEST_WINDOW)
        if updates is None:
            width = max(width / NARROWER, NARROWEST_WINDOW)
            continue
        within = replace(filters, start=begin, end=end)
        for row in reversed(await rows_within(reader, within, ours, updates)):
            found.take(row)
        at = end = begin
        if is_last or found.close_before(begin) >= limit:
            break
        width = next_width(width, len(updates))
    if is_last and filters.start is None:
        found.close_all()
    for entry in await found.newest(reader, at):
        yield entry


# --- from rows to entries, backwards ------------------------------------------------------------------------------


@dataclass(eq=False)
class _Place:
    """The wanted entries of a row, newest first; None: they depend on older rows."""

    entries: list[HistoryEntry] | None = None


@dataclass(eq=False)
class _Ending:
    """The end of a session, whose routes are not all known yet."""

    place: _Place
    session: SessionDocument
    has_one_each: bool
    decided: set[AnnouncedRoute] = field(default_factory=set)
    """Routes whose last announcement or withdrawal was seen."""
    stood: list[HistoryEntry] = field(default_factory=list)
    """The announcements of those that stood, newest first."""


@dataclass(eq=False)
class _Withdrawal:
    """A withdrawal of a route whose announcement is not known yet."""

    place: _Place
    document: UpdateDocument
    group: Any


class _Backwards:
    """Makes the entries of a prefix from rows that come newest first."""

    def __init__(self, prefix: str, filters: Filter, limit: int) -> None:
        self._prefix = prefix
        self._filters = filters
        self._limit = limit
        self._places: list[_Place] = []
        self._withdrawn: dict[Any, dict[AnnouncedRoute, list[_Withdrawal]]] = defaultdict(dict)
        """By session."""
        self._endings: dict[Any, _Ending] = {}

    def take(self, row: Row) -> None:
        """Take a row that is older than all before."""
        if isinstance(row, UpdateRow):
            self._follow(row)
        elif isinstance(row, TableRow):
            self._begin_with(row)
        elif isinstance(row, SessionRow):
            self._end(row.document)
        elif isinstance(row, GapRow):
            self._add(gap_entry(row.document, self._prefix))
        elif isinstance(row, OwnRow):
            self._add(row.entry)

    def close_all(self) -> None:
        """Complete all entries: there are no older rows."""
        for owner in [*self._withdrawn, *self._endings]:
            self._close(owner)

    def close_before(self, begin: datetime) -> int:
        """Complete the ends of sessions that began after a time; returns how many entries are complete."""
        for ending in list(self._endings.values()):
            if begin <= ending.session["since"] - streams.SLACK:
                self._close(ending.session["_id"])
        self._places = [place for place in self._places if place.entries != []]
        return sum(len(place.entries or ()) for place in self._places)

    async def newest(self, reader: PrefixReader, before: datetime) -> list[HistoryEntry]:
        """The newest entries, oldest first; what they depend on before a time is looked up."""
        count, wanted = 0, list[_Place]()
        for place in self._places:
            if count >= self._limit:
                break
            wanted.append(place)
            count += len(place.entries or ())
        depending = {id(place) for place in wanted if place.entries is None}
        for owner in {*self._withdrawn, *self._endings}:
            await self._look_up(reader, owner, before, depending)
        entries = [entry for place in wanted for entry in place.entries or ()]
        return entries[self._limit - 1 :: -1] if len(entries) > self._limit else entries[::-1]

    async def _look_up(self, reader: PrefixReader, owner: Any, before: datetime, depending: Collection[int]) -> None:
        """Look up the routes of a session before a time, for places that depend on them."""
        ending = self._endings.get(owner)
        past: RoutesBefore | None = None
        for route, those in self._withdrawn.pop(owner, {}).items():
            if any(id(one.place) in depending for one in those):
                past = past or RoutesBefore(reader, owner, those[0].document["peer"]["address"], before)
                self._complete(those, await past.announced(route))
        if ending and id(ending.place) in depending:
            past = past or RoutesBefore(reader, owner, ending.session["peer"]["address"], before)
            ending.stood += [entry for route, entry in await past.standing() if route not in ending.decided]
            self._close(owner)

    def _follow(self, row: UpdateRow) -> None:
        document, event = row.document, row.event or "announce"
        for group in reversed(groups(document, event)):
            for nlri in reversed(group.get("nlri", ())):
                if nlri != self._prefix:
                    continue
                route = route_of(document, group, nlri)
                if event == "announce":
                    entry = route_entry(document, event, group, nlri, answered(document.get("attributes", {})))
                    self._announce(route, entry)
                else:
                    self._withdraw(route, document, group)
                ending = self._endings.get(route[0])
                if ending and ending.has_one_each and is_plain(group):
                    self._close(route[0], withdrawn_too=False)

    def _begin_with(self, row: TableRow) -> None:
        for key, entry in reversed(row.routes):
            self._announce((row.table.session, key), table_entry(row.table, key, entry))
        self._close(row.table.session)

    def _end(self, session: SessionDocument) -> None:
        """Wait for the routes of a session that ended here; entries after its end do not depend on them."""
        self._close(session["_id"])
        if self._filters.wants("session") and self._filters.of_peer(Peer.model_validate(session["peer"])):
            self._endings[session["_id"]] = _Ending(self._wait(), session, has_one_route_to_each(session))

    def _announce(self, route: AnnouncedRoute, entry: HistoryEntry) -> None:
        self._complete(self._withdrawn[route[0]].pop(route, ()), entry)
        self._decide(route, entry)
        self._add(entry)

    def _withdraw(self, route: AnnouncedRoute, document: UpdateDocument, group: Any) -> None:
        if self._filters.wants("withdraw") and self._filters.of_peer(Peer.model_validate(document["peer"])):
            self._withdrawn[route[0]].setdefault(route, []).append(_Withdrawal(self._wait(), document, group))
        self._decide(route, None)

    def _decide(self, route: AnnouncedRoute, entry: HistoryEntry | None) -> None:
        ending = self._endings.get(route[0])
        if ending and route not in ending.decided:
            ending.decided.add(route)
            if entry is not None:
                ending.stood.append(entry)

    def _complete(self, withdrawals: Sequence[_Withdrawal], announced: HistoryEntry | None) -> None:
        """Complete withdrawals with the announcement that they end, if there was one."""
        attributes = carried(announced) if announced else {}
        for one in withdrawals:
            entry = route_entry(one.document, "withdraw", one.group, self._prefix, attributes)
            one.place.entries = self._wanted([entry])

    def _close(self, owner: Any, *, withdrawn_too: bool = True) -> None:
        """Complete the entries that wait for a session's routes: none of these are older."""
        if withdrawn_too:
            for those in self._withdrawn.pop(owner, {}).values():
                self._complete(those, None)
        if ending := self._endings.pop(owner, None):
            session = ending.session
            own = {"ts": session["until"], "event": "session_end", "reason": session.get("reason")}
            ended = (HistoryEntry.model_validate({**carried(stood), **own}) for stood in ending.stood)
            ending.place.entries = self._wanted(ended)

    def _add(self, entry: HistoryEntry) -> None:
        self._places.append(_Place(self._wanted([entry])))

    def _wait(self) -> _Place:
        place = _Place()
        self._places.append(place)
        return place

    def _wanted(self, entries: Sequence[HistoryEntry] | Iterator[HistoryEntry]) -> list[HistoryEntry]:
        return [entry for entry in entries if self._filters.matches(entry)]
