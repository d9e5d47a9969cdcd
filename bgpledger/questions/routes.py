"""Queries for routes, now or at a past time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, TypeVar

from bgpledger.cursors import RouteMark
from bgpledger.questions.question import Context, Time, Watched, named, some_of
from collector.errors import UsageError
from collector.query.arguments import Say, parse_prefix, parse_time
from collector.query.filter_text import check_family_of_prefix
from collector.query.filters import EVERYTHING, Filter
from collector.query.newest import newest_of, newest_routes
from schemas.query import Route, RouteChange

if TYPE_CHECKING:
    from collector.query.batch import Batch
    from collector.query.peer_ribs import PeerRib
    from collector.query.rib import Match
    from collector.query.table import PrefixRoutes

T = TypeVar("T")


@dataclass(eq=False, repr=False)
class StandingQuestion(Watched[T]):
    """Routes, now or at a given time."""

    prefix: str | None = None
    filters: Filter = EVERYTHING
    _: KW_ONLY
    match: Match = "exact"
    at: Time = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.prefix is not None:
            self.prefix = parse_prefix(self.prefix, say=self.notes.append)
        elif self.match != "exact":
            raise UsageError(f"{self.match.replace('_', ' ')} than what?", "give a prefix")
        check_family_of_prefix(self.filters, self.prefix)
        self._mark = RouteMark(named("rib", f"{self.prefix} {self.match}", self.filters), None)
        self.moment = parse_time(self.at)
        """The time; None: now."""

    async def batches(self, context: Context) -> AsyncGenerator[Batch, None]:
        """The routes, in their stored form."""
        from collector.query.rib import RibQuery, count_stored, of_its_peers, rib_batches

        question = RibQuery(self.prefix, self.match, self.moment, after=self._mark.place)
        await context.cover(self.filters, question.at)
        stored = of_its_peers(question, self.filters)
        hidden: list[str] = []
        is_of_tables = question.is_of_tables
        total = await count_stored(context.store, stored, on_hidden=hidden.append) if is_of_tables else None
        context.may_lack_routes(hidden)
        read = self.count(total)
        found = rib_batches(context.store, question, self.filters, on_read=read.more)
        is_empty = True
        async for batch in newest_routes(found, self.limit):
            is_empty = False
            yield batch
        if is_empty and self._mark.place is None:
            await context.see(self.filters, question.at)


@dataclass(eq=False, repr=False)
class RibQuestion(StandingQuestion[Route]):
    """Routes, now or at a given time: by peer, then in order of prefixes.

    Args:
        prefix: the prefix; None: all.
        filters: which of them; times and kinds of entries are ignored.
        match: `more_specific` and `less_specific` include the prefixes within it, or those that cover it.
        at: the time; None: now.
        limit: only the newest.
        after: a cursor, which also keeps the time.
        deadline: in seconds.
        progress: called with how many routes have been read from tables.
    """

    _: KW_ONLY
    after: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._mark = RouteMark(named("rib", f"{self.prefix} {self.match}", self.filters), self.after)
        if self.after:
            self.moment = self._mark.at
        self._mark.at = self.moment

    async def give(self, context: Context) -> AsyncGenerator[Route, None]:
        """The routes."""
        async for batch in self.batches(context):
            for key, entry in batch.items:
                self._mark.see(batch, key)
                yield batch.route(key, entry)

    def cursor(self) -> str | None:
        """The cursor after the last route."""
        return self._mark.token()


@dataclass(eq=False, repr=False)
class RibBatchesQuestion(StandingQuestion["Batch"]):
    """The routes of `rib` in their stored form: for exports of whole tables, which need no model of each route.

    `on_hidden` is called with the address of a peer whose lost lines may hide a route to the prefix.
    """

    _: KW_ONLY
    on_hidden: Say | None = None

    async def give(self, context: Context) -> AsyncGenerator[Batch, None]:
        """The routes."""
        async for batch in self.batches(context):
            if batch.hidden and self.on_hidden is not None:
                self.on_hidden(batch.rib.session["peer"]["address"])
            yield batch


@dataclass(eq=False, repr=False)
class TableQuestion(Watched["PrefixRoutes"]):
    """The routes of `rib`, prefix by prefix over all peers, in their stored form: for exports of whole tables.

    `on_peers` is called before the first answer with what is known about each peer, in the order of the peer numbers in
    the routes.

    Raises:
        UsageError: the filters have times, or kinds of entries.
    """

    filters: Filter = EVERYTHING
    _: KW_ONLY
    at: Time = None
    on_peers: Callable[[Sequence[PeerRib]], None] = lambda _: None

    def __post_init__(self) -> None:
        if self.filters.start or self.filters.end or self.filters.elems:
            raise UsageError(
                "a table is of one time: --start, --end, --duration and --elem do not apply", "give the time with --at"
            )
        self.moment = parse_time(self.at)

    async def give(self, context: Context) -> AsyncGenerator[PrefixRoutes, None]:
        """The prefixes."""
        from collector.query.rib import RibQuery, count_stored, of_its_peers
        from collector.query.table import table

        question = RibQuery(at=self.moment)
        await context.cover(self.filters, question.at)
        hidden: list[str] = []
        stored = of_its_peers(question, self.filters)
        read = self.count(await count_stored(context.store, stored, on_hidden=hidden.append))
        context.may_lack_routes(hidden)
        prefixes = table(context.store, question, self.filters, on_peers=self.on_peers, on_read=read.more)
        is_empty = True
        async with aclosing(prefixes) as found:
            async for routes in found:
                is_empty = False
                yield routes
        if is_empty:
            await context.see(self.filters, question.at)


@dataclass(eq=False, repr=False)
class DiffQuestion(Watched[RouteChange]):
    """Routes that appeared, disappeared or changed between two times, and what changed.

    A change matches a filter if the route matches it at either time.
    """

    earlier: Time
    later: Time
    prefix: str | None = None
    filters: Filter = EVERYTHING
    _: KW_ONLY
    limit: int | None = None

    def __post_init__(self) -> None:
        earlier, later = parse_time(self.earlier), parse_time(self.later)
        if earlier is None or later is None or later <= earlier:
            raise UsageError(f"{self.later!r} is not after {self.earlier!r}", "give the earlier time first")
        self._moments = earlier, later
        if self.prefix is not None:
            self.prefix = parse_prefix(self.prefix, say=self.notes.append)
        check_family_of_prefix(self.filters, self.prefix)

    async def give(self, context: Context) -> AsyncGenerator[RouteChange, None]:
        """The changes."""
        from collector.query.diff import diff
        from collector.query.rib import RibQuery

        await context.cover(self.filters, *self._moments)
        await context.see(self.filters, *self._moments)
        hidden: dict[str, None] = {}
        named: set[str] = set()
        changes = diff(
            *(context.store, RibQuery(self.prefix), *self._moments, self.filters),
            on_read=self.count(None).more,
            on_hidden=lambda peer: hidden.update({peer: None}),
        )

        def tell() -> None:
            if names := [name for name in hidden if name not in named]:
                named.update(hidden)
                context.answers.covered = False
                context.answers.note(
                    f"lines of {some_of(names)} were lost: routes of which it is not known whether they appeared or"
                    " went are left out (bgpledger history PREFIX shows what is known of one)"
                )

        async for change in newest_of(changes, self.limit, lambda change: change.route.since):
            tell()
            yield change
        tell()
