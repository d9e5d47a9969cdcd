"""The archive as a Python object. Each question imports what it needs: a command line must not wait for the others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from bgpledger.answers import Answers
from bgpledger.cursors import RouteMark, TimeMark
from collector.errors import UsageError
from collector.query.arguments import Say, check_family, check_routes_can_match, parse_prefix, parse_time
from collector.query.covered import check_moments, check_peers
from collector.query.filters import Filter
from collector.query.find_store import find_store
from collector.query.history import HistoryQuery, history
from collector.query.newest import newest, newest_of, newest_routes
from collector.query.running import find_running
from collector.settings import Settings, load
from collector.store.mongo import Store
from schemas.query import (
    ActivitySample,
    CollectorStatus,
    HistoryEntry,
    PeerSession,
    PeerStatus,
    Route,
    RouteChange,
    TopEntry,
)

if TYPE_CHECKING:
    from collector.query.batch import Batch
    from collector.query.messages import Said, SessionChange
    from collector.query.peer_ribs import PeerRib
    from collector.query.rib import Match, RibQuery
    from collector.query.table import PrefixRoutes
    from collector.query.timeline import PrefixTimeline
    from collector.query.top import By, What

T = TypeVar("T")
Time = str | datetime | None
"""As people write it ("2h", "yesterday 14:05", RFC 3339, unix seconds), or read already."""
Progress = Callable[[int, int | None], None]
"""Is told how much has been read, and of how much; None while that is not known."""

_NOTHING = Filter()


def _unwatched(_read: int, _of: int | None) -> None:
    pass


class Archive:
    """What was archived, to be asked: everything is asynchronous, and many questions may run at once.

    Every question can have a `deadline`, in seconds, after which it raises `DeadlineError`, and `limit`, with which
    only the newest are given. Those that have `after` go on behind the answer at which an earlier one's
    `Answers.cursor` was taken. Prefixes are texts; an address is its own /32 or /128. Filters come of `parse_filter`.

    Raises:
        UsageError: a question cannot be meant: raised when it is put, or with its first answer.
        StoreError: the store does not answer, or refuses.
    """

    def __init__(self, store: Store, data_dir: Path, *, say: Say = lambda _: None) -> None:
        self.store = store
        self._data_dir = data_dir
        self._say = say

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str | None = None, *, data_dir: Path | None = None) -> AsyncIterator[Self]:
        """The archive in the MongoDB at a URI, or the one of the collector on a data directory.

        Without either, BGPLEDGER_MONGODB_URI and BGPLEDGER_DATA_DIR say where it is, as for the command line.

        Args:
            uri: the server, or the replica set.
            data_dir: the collector's; also says who is configured, for `peers` and `status`.

        Raises:
            StoreError: there is none, or it does not start.
        """
        async with cls.found(load(None, data_dir=data_dir, mongodb_uri=uri)) as archive:
            yield archive

    @classmethod
    @asynccontextmanager
    async def found(cls, settings: Settings, *, say: Say = lambda _: None) -> AsyncIterator[Self]:
        """The archive that settings name; `say` is told the notes of all answers."""
        async with find_store(settings) as store:
            yield cls(store, settings.data_dir, say=say)

    def telling(self, say: Say) -> Self:
        """The same archive for one who asks: all that is noted goes to `say`."""
        return self.__class__(self.store, self._data_dir, say=say)

    # --- in the order of time ---------------------------------------------------------------------------------------

    def history(
        self,
        prefix: str,
        filters: Filter = _NOTHING,
        *,
        limit: int | None = None,
        after: str | None = None,
        deadline: float | None = None,
    ) -> Answers[HistoryEntry]:
        """What every peer said of a prefix, oldest first, and the session ends that took its routes away."""
        asked = parse_prefix(prefix, say=self._say)
        check_family(filters, asked)
        mark = TimeMark(_named("history", asked, filters), after)
        wanted = _from(filters, mark)

        async def give(answers: Answers[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
            await self._cover(answers, filters)
            async for entry in newest(mark.follow(history(self.store, HistoryQuery(asked, wanted))), limit):
                mark.see(entry)
                yield entry

        return self._answers(give, deadline, mark.token)

    async def timeline(
        self, prefix: str, filters: Filter = _NOTHING, *, until: Time = None, seconds: float = 1.0
    ) -> PrefixTimeline:
        """What happened to a prefix, read from the end on: as much of it as can be read in some seconds.

        Args:
            prefix: which.
            filters: the range of time, the peers, and what entries have to be like.
            until: goes on from here back, in place of the range's end: the `since` of an earlier one.
            seconds: how long it may read.
        """
        from collector.query.timeline import timeline

        asked = parse_prefix(prefix, say=self._say)
        check_family(filters, asked)
        await check_moments(self.store, [filters.start] if filters.start else [], filters.end, self._say)
        await check_peers(self.store, filters, (), self._say)
        return await timeline(self.store, asked, filters, until=parse_time(until), seconds=seconds)

    def search(
        self,
        filters: Filter = _NOTHING,
        *,
        everything: bool = False,
        complete: bool = True,
        limit: int | None = None,
        after: str | None = None,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[HistoryEntry]:
        """Updates and sessions of all prefixes, oldest first.

        Args:
            filters: which.
            everything: go through the whole archive when nothing narrows what is read.
            complete: withdrawals carry the route that they end, which has to be looked for.
            limit: only the newest.
            after: a cursor.
            deadline: in seconds.
            progress: is told how many UPDATEs have been read.
        """
        from collector.query.search import search
        from collector.query.search_newest import search_newest

        check_routes_can_match(filters)
        mark = TimeMark(_named("search", "", filters), after)
        wanted = _from(filters, mark)

        async def give(answers: Answers[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
            await self._cover(answers, filters)
            total = await self._cost(filters, limit, everything=everything)
            read = _Count(progress, total)
            entries = search(self.store, wanted, complete=complete, on_read=read.one)
            if limit is not None and after is None:
                entries = search_newest(self.store, wanted, limit, complete=complete, on_read=read.one)
            async for entry in newest(mark.follow(entries), limit):
                mark.see(entry)
                yield entry

        return self._answers(give, deadline, mark.token)

    def messages(
        self,
        filters: Filter = _NOTHING,
        *,
        everything: bool = False,
        beside: bool = True,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[Said | SessionChange]:
        """What `search` gives as whole messages, as they are stored: for who writes files.

        All messages that are no UPDATEs are among them, where neither routes nor kinds of entries are asked for;
        without `beside` none are.
        """
        from collector.query.messages import messages

        check_routes_can_match(filters)

        async def give(answers: Answers[Said | SessionChange]) -> AsyncGenerator[Said | SessionChange, None]:
            await self._cover(answers, filters)
            read = _Count(progress, await self._cost(filters, None, everything=everything))
            async with aclosing(messages(self.store, filters, beside=beside, on_read=read.one)) as said:
                async for one in said:
                    yield one

        return self._answers(give, deadline)

    def tail(
        self,
        filters: Filter = _NOTHING,
        *,
        limit: int | None = None,
        deadline: float | None = None,
        pulse: Callable[[], None] = lambda: None,
    ) -> Answers[HistoryEntry]:
        """Updates and sessions as they are stored, from now on or since the filters' start, without end.

        Args:
            filters: which.
            limit: end after so many.
            deadline: in seconds.
            pulse: called after each look at the store, several times a second; what it raises ends this.
        """
        from collector.query.tail import tail

        check_routes_can_match(filters)

        async def give(answers: Answers[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
            await self._cover(answers, filters)
            async for entry in tail(self.store, filters, limit=limit, pulse=pulse):
                yield entry

        return self._answers(give, deadline)

    # --- routes as they stand ---------------------------------------------------------------------------------------

    def rib(
        self,
        prefix: str | None = None,
        filters: Filter = _NOTHING,
        *,
        match: Match = "exact",
        at: Time = None,
        limit: int | None = None,
        after: str | None = None,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[Route]:
        """The routes as they stand, or stood at a time: by peer, then in the order of prefixes.

        Args:
            prefix: of one prefix; None: of all.
            filters: which of them; times and kinds of entries do not matter.
            match: `more_specific` and `less_specific` take in the prefixes within it, and those that it lies within.
            at: the time; None: now.
            limit: only the newest.
            after: a cursor, with which the time is what it was.
            deadline: in seconds.
            progress: is told how many routes have been read of tables.
        """
        question, mark = self._routes_asked(prefix, filters, match, at, after)

        async def give(answers: Answers[Route]) -> AsyncGenerator[Route, None]:
            async for batch in self._batches(answers, question, filters, limit, progress):
                for key, entry in batch.items:
                    mark.see(batch, key)
                    yield batch.route(key, entry)

        return self._answers(give, deadline, mark.token)

    def rib_batches(
        self,
        prefix: str | None = None,
        filters: Filter = _NOTHING,
        *,
        match: Match = "exact",
        at: Time = None,
        limit: int | None = None,
        deadline: float | None = None,
        progress: Progress = _unwatched,
        on_hidden: Say = lambda _: None,
    ) -> Answers[Batch]:
        """What `rib` gives, as it is stored: for who writes whole tables, and needs no model of each route.

        `on_hidden` is called with the address of a peer whose lost lines may hide a route to the prefix.
        """
        question, _ = self._routes_asked(prefix, filters, match, at, None)

        async def give(answers: Answers[Batch]) -> AsyncGenerator[Batch, None]:
            async for batch in self._batches(answers, question, filters, limit, progress):
                if batch.hidden:
                    on_hidden(batch.rib.session["peer"]["address"])
                yield batch

        return self._answers(give, deadline)

    def table(
        self,
        filters: Filter = _NOTHING,
        *,
        at: Time = None,
        on_peers: Callable[[Sequence[PeerRib]], None] = lambda _: None,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[PrefixRoutes]:
        """What `rib` gives, prefix by prefix over all peers, as it is stored: for who writes whole tables.

        `on_peers` is called ahead of the first answer with what is known of each peer, in the order of the numbers
        that routes have.

        Raises:
            UsageError: the filters ask for times, or for kinds of entries.
        """
        from collector.query.rib import RibQuery, count_stored, of_its_peers
        from collector.query.table import table

        if filters.start or filters.end or filters.elems:
            raise UsageError("a table has no --start, --end, --duration or --elem", "say when with --at")
        question = RibQuery(at=parse_time(at))

        async def give(answers: Answers[PrefixRoutes]) -> AsyncGenerator[PrefixRoutes, None]:
            await self._cover(answers, filters, question.at)
            read = _Count(progress, await count_stored(self.store, of_its_peers(question, filters)))
            prefixes = table(self.store, question, filters, on_peers=on_peers, on_read=read.more)
            async with aclosing(prefixes) as found:
                async for routes in found:
                    yield routes

        return self._answers(give, deadline)

    def lookup(
        self, address: str, filters: Filter = _NOTHING, *, at: Time = None, deadline: float | None = None
    ) -> Answers[Route]:
        """The route that each peer would take to an address: its longest match, now or at a time.

        The filters choose among these: a peer whose longest match does not pass them answers with no other.
        """
        return self.rib(address, filters, match="longest", at=at, deadline=deadline)

    def diff(
        self,
        earlier: Time,
        later: Time,
        prefix: str | None = None,
        filters: Filter = _NOTHING,
        *,
        limit: int | None = None,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[RouteChange]:
        """Which routes appeared, went or changed between two times, and in what.

        A filter lets a change through when the route passes it at one of the times.
        """
        from collector.query.diff import diff
        from collector.query.rib import RibQuery

        before, behind = parse_time(earlier), parse_time(later)
        if before is None or behind is None or behind <= before:
            raise UsageError(f"{later!r} is not after {earlier!r}", "give the earlier time first")
        asked = None if prefix is None else parse_prefix(prefix, say=self._say)
        check_family(filters, asked)

        async def give(answers: Answers[RouteChange]) -> AsyncGenerator[RouteChange, None]:
            await self._cover(answers, filters, before, behind)
            hidden: dict[str, None] = {}
            changes = diff(
                *(self.store, RibQuery(asked), before, behind, filters),
                on_read=_Count(progress, None).more,
                on_hidden=lambda peer: hidden.update({peer: None}),
            )
            async for change in newest_of(changes, limit, lambda change: change.route.since):
                yield change
            if hidden:
                answers.covered = False
                answers.note(
                    f"lines of {', '.join(hidden)} were lost: routes of which it is not known whether they appeared or"
                    " went are left out (bgpledger history PREFIX shows what is known of one)"
                )

        return self._answers(give, deadline)

    # --- of all -----------------------------------------------------------------------------------------------------

    def top(
        self,
        what: What,
        by: By = "announcements",
        filters: Filter = _NOTHING,
        *,
        limit: int = 10,
        deadline: float | None = None,
        progress: Progress = _unwatched,
    ) -> Answers[TopEntry]:
        """Of which prefixes, origins, peers or paths most was said; see `bgpledger top --help` for what is counted."""
        from collector.query.origins import are_indexed
        from collector.query.search import count_updates
        from collector.query.top import check_countable, top

        check_countable(by, filters)

        async def give(answers: Answers[TopEntry]) -> AsyncGenerator[TopEntry, None]:
            await self._cover(answers, filters)
            whole = not filters.span and not await are_indexed(self.store, filters)
            read = _Count(progress, await count_updates(self.store, filters) if whole else None)
            async for entry in top(self.store, what, by, filters, limit, on_read=read.one):
                yield entry

        return self._answers(give, deadline)

    def activity(
        self,
        filters: Filter,
        *,
        samples: int = 120,
        deadline: float | None = None,
    ) -> Answers[ActivitySample]:
        """How much peers said, in spans of one length from the filters' start to their end, also where nothing was.

        Args:
            filters: which peers, and the time, of which both ends have to be given; all else does not matter.
            samples: how many spans at most.
            deadline: in seconds.
        """
        from collector.query.activity import activity

        async def give(answers: Answers[ActivitySample]) -> AsyncGenerator[ActivitySample, None]:
            await self._cover(answers, filters)
            async for sample in activity(self.store, filters, samples):
                yield sample

        return self._answers(give, deadline)

    def peers(self, *, deadline: float | None = None) -> Answers[PeerStatus]:
        """Each peer: its state and since when, its updates and routes, and why it is not up."""
        from collector.query.peers import peers_here

        async def give(_answers: Answers[PeerStatus]) -> AsyncGenerator[PeerStatus, None]:
            async for peer in peers_here(self.store, self._data_dir):
                yield peer

        return self._answers(give, deadline)

    def sessions(self, filters: Filter = _NOTHING, *, deadline: float | None = None) -> Answers[PeerSession]:
        """The sessions of peers, by their begin; of the filters, peers and times matter."""
        from collector.query.sessions import sessions

        async def give(answers: Answers[PeerSession]) -> AsyncGenerator[PeerSession, None]:
            await self._cover(answers, filters)
            async for session in sessions(self.store, filters):
                yield session

        return self._answers(give, deadline)

    def gaps(self, filters: Filter = _NOTHING, *, deadline: float | None = None) -> Answers[HistoryEntry]:
        """What was lost of what peers said, oldest first; of the filters, peers and times matter."""
        from collector.query.sessions import gaps

        async def give(answers: Answers[HistoryEntry]) -> AsyncGenerator[HistoryEntry, None]:
            await self._cover(answers, filters)
            async for gap in gaps(self.store, filters):
                yield gap

        return self._answers(give, deadline)

    async def status(self) -> CollectorStatus:
        """How the collector on the data directory does, and its store."""
        from collector.query.status import status

        return await status(self._data_dir, self.store)

    # --- what they have in common -----------------------------------------------------------------------------------

    def _answers(
        self,
        give: Callable[[Answers[T]], AsyncGenerator[T, None]],
        deadline: float | None,
        cursor: Callable[[], str | None] = lambda: None,
    ) -> Answers[T]:
        return Answers(give, deadline=deadline, cursor=cursor, say=self._say)

    async def _cover(self, answers: Answers[T], filters: Filter, *moments: datetime | None) -> None:
        """Say what the archive cannot know of, and which peers there are not."""
        asked = [moment for moment in (*moments, filters.start) if moment is not None]
        answers.covered = await check_moments(self.store, asked, filters.end, answers.note)
        running = find_running(self._data_dir)
        await check_peers(self.store, filters, running.peers if running else (), answers.note)

    async def _cost(self, filters: Filter, limit: int | None, *, everything: bool) -> int | None:
        """How many UPDATEs a search reads, where that is known.

        Raises:
            UsageError: all of them, and nobody said that they are to be.
        """
        from collector.query.origins import are_indexed
        from collector.query.search import count_updates

        indexed = await are_indexed(self.store, filters)
        count = await count_updates(self.store, filters)
        if filters.asks_for_routes and not indexed and filters.start is None and not everything:
            migrate = "; bgpledger db migrate makes an index that serves --origin" if filters.wanted_origins else ""
            raise UsageError(
                f"no index serves these filters: {count} UPDATEs would be read",
                f"give a range of time (--start 2h, --duration 1d), or --all to read them all the same{migrate}",
            )
        return None if filters.span or indexed or limit else count

    def _routes_asked(
        self, prefix: str | None, filters: Filter, match: Match, at: Time, after: str | None
    ) -> tuple[RibQuery, RouteMark]:
        from collector.query.rib import RibQuery

        asked = None if prefix is None else parse_prefix(prefix, say=self._say)
        if asked is None and match != "exact":
            raise UsageError(f"{match.replace('_', ' ')} than what?", "give a prefix")
        check_family(filters, asked)
        mark = RouteMark(_named("rib", f"{asked} {match}", filters), after)
        if not after:
            mark.at = parse_time(at)
        return RibQuery(asked, match, mark.at, after=mark.place), mark

    async def _batches(
        self, answers: Answers[T], question: RibQuery, filters: Filter, limit: int | None, progress: Progress
    ) -> AsyncGenerator[Batch, None]:
        from collector.query.rib import count_stored, of_its_peers, rib_batches

        await self._cover(answers, filters, question.at)
        total = await count_stored(self.store, of_its_peers(question, filters)) if question.is_of_tables else None
        batches = rib_batches(self.store, question, filters, on_read=_Count(progress, total).more)
        async for batch in newest_routes(batches, limit):
            yield batch


class _Count:
    """Adds up what is read."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._read = 0

    def one(self) -> None:
        """One more."""
        self.more(1)

    def more(self, count: int) -> None:
        """So many more."""
        self._read += count
        self._progress(self._read, self._total)


def _named(question: str, of: str, filters: Filter) -> str:
    """What tells a question from others: not its times, which may be written as "2h"."""
    return f"{question} {of} {replace(filters, start=None, end=None)}"


def _from(filters: Filter, mark: TimeMark) -> Filter:
    """The filters from where a cursor says."""
    return replace(filters, start=mark.start) if mark.start else filters
