"""The archive as a Python object. Each query imports only what it needs, so that the command line starts fast."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar, get_args

from bgpledger.answers import Answers
from bgpledger.questions.entries import (
    ActivityQuestion,
    GapsQuestion,
    HistoryQuestion,
    MessagesQuestion,
    SearchQuestion,
    SessionsQuestion,
    TailQuestion,
)
from bgpledger.questions.following import FollowQuestion, MissedQuestion
from bgpledger.questions.question import Context, Progress, Question, Time
from bgpledger.questions.routes import DiffQuestion, RibBatchesQuestion, RibQuestion, TableQuestion
from bgpledger.questions.summaries import ConvergenceQuestion, IntentsQuestion, PeersQuestion, TopQuestion
from collector.errors import StoreUnavailableError
from collector.query.arguments import Say, parse_prefix, parse_time
from collector.query.coverage_checks import check_peers, check_times
from collector.query.filter_text import check_family_of_prefix
from collector.query.filters import EVERYTHING, Filter
from collector.query.find_store import find_store
from collector.settings.load_store import load_store
from collector.settings.store import StoreSettings
from collector.store.mongo import Store
from schemas.query import Route

if TYPE_CHECKING:
    from collector.query.timeline import PrefixTimeline
    from schemas.status import CollectorStatus

__all__ = ["Archive", "Progress", "Time"]

T = TypeVar("T")
P = ParamSpec("P")


def _method(question: Callable[P, Question[T]]) -> Callable[Concatenate[Archive, P], Answers[T]]:
    """A method that runs a query, with the arguments and the documentation of its `Question`."""

    def ask(archive: Archive, /, *args: P.args, **kwargs: P.kwargs) -> Answers[T]:
        return archive.ask(question(*args, **kwargs))

    *_, base = getattr(question, "__orig_bases__", (Question,))
    (answer,) = get_args(base) or ("Any",)
    kind = getattr(answer, "__forward_arg__", None) or getattr(answer, "__name__", answer)
    signature = inspect.signature(question)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ask.__doc__, ask.__annotations__ = question.__doc__, {}
    ask.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own, *signature.parameters.values()],
        return_annotation=f"Answers[{kind}]",
    )
    return ask


class Archive:
    """The archive: everything is asynchronous, and many queries may run at once.

    Every query can have a `deadline`, in seconds, after which it raises `DeadlineError`; with `limit` it only returns
    the newest answers. Queries with `after` continue after the answer at which an earlier query's `Answers.cursor` was
    taken. Prefixes are strings; an address means its /32 or /128. Filters come from `parse_filter`.

    Raises:
        UsageError: a query makes no sense: raised when it is made, or with its first answer.
        StoreError: the store does not answer, or refuses.
    """

    def __init__(self, store: Store | StoreUnavailableError, data_dir: Path, *, say: Say = lambda _: None) -> None:
        self._store = store
        self._data_dir = data_dir
        self._say = say

    @property
    def store(self) -> Store:
        """The store that answers.

        Raises:
            StoreUnavailableError: there is none.
        """
        if isinstance(self._store, StoreUnavailableError):
            raise self._store
        return self._store

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str | None = None, *, data_dir: Path | None = None) -> AsyncIterator[Self]:
        """Open the archive in the MongoDB at a URI, or that of the collector on a data directory.

        Without either, BGPLEDGER_MONGODB_URI and BGPLEDGER_DATA_DIR apply, as for the command line.

        Args:
            uri: the server, or the replica set.
            data_dir: the collector's; it also tells which peers are configured, for `peers` and `status`.

        Raises:
            StoreError: there is none, or it does not start.
        """
        async with cls.found(load_store(data_dir=data_dir, mongodb_uri=uri)) as archive:
            yield archive

    @classmethod
    @asynccontextmanager
    async def found(
        cls, settings: StoreSettings, *, say: Say = lambda _: None, share: bool = False
    ) -> AsyncIterator[Self]:
        """The archive that the settings name.

        Args:
            settings: which archive.
            say: called with the notes of all answers.
            share: let other commands use a store that had to be started, since this one may run for hours.
        """
        async with find_store(settings, share=share) as store:
            yield cls(store, settings.data_dir, say=say)

    @classmethod
    @asynccontextmanager
    async def looked_at(cls, settings: StoreSettings, *, at_rest: bool) -> AsyncIterator[Self]:
        """The archive that the settings name; if there is no store, one that can only answer `status`.

        Args:
            settings: which archive.
            at_rest: start the embedded store if the collector is not running.
        """
        async with AsyncExitStack() as stack:
            store: Store | StoreUnavailableError
            try:
                store = await stack.enter_async_context(find_store(settings, at_rest=at_rest))
            except StoreUnavailableError as error:
                store = error
            yield cls(store, settings.data_dir)

    def telling(self, say: Say) -> Self:
        """The same archive for one caller: all notes are passed to `say`."""
        return self.__class__(self._store, self._data_dir, say=say)

    def ask(self, question: Question[T]) -> Answers[T]:
        """The answers to a question, which may have been created, and so checked, before the archive was opened."""
        for note in question.notes:
            self._say(note)
        store = self.store
        return Answers(
            lambda answers: question.give(Context(store, self._data_dir, answers)),
            deadline=question.deadline,
            cursor=question.cursor,
            say=self._say,
        )

    # --- in the order of time ---------------------------------------------------------------------------------------

    history = _method(HistoryQuestion)
    search = _method(SearchQuestion)
    messages = _method(MessagesQuestion)
    tail = _method(TailQuestion)
    follow = _method(FollowQuestion)
    missed = _method(MissedQuestion)
    sessions = _method(SessionsQuestion)
    gaps = _method(GapsQuestion)
    activity = _method(ActivityQuestion)

    async def timeline(
        self, prefix: str, filters: Filter = EVERYTHING, *, until: Time = None, seconds: float = 1.0
    ) -> PrefixTimeline:
        """The history of a prefix, read backwards from the end: as much as can be read in a few seconds.

        Args:
            prefix: the prefix.
            filters: the time range, the peers, and conditions on entries.
            until: continues backwards from here instead of the range's end: the `since` of an earlier timeline.
            seconds: how long it may read.
        """
        from collector.query.timeline import timeline

        normalised = parse_prefix(prefix, say=self._say)
        check_family_of_prefix(filters, normalised)
        await check_times(self.store, [filters.start] if filters.start else [], filters.end, self._say)
        await check_peers(self.store, filters, (), self._say)
        return await timeline(self.store, normalised, filters, until=parse_time(until), seconds=seconds)

    # --- routes as they stand ---------------------------------------------------------------------------------------

    rib = _method(RibQuestion)
    rib_batches = _method(RibBatchesQuestion)
    table = _method(TableQuestion)
    diff = _method(DiffQuestion)

    def lookup(
        self, address: str, filters: Filter = EVERYTHING, *, at: Time = None, deadline: float | None = None
    ) -> Answers[Route]:
        """Each peer's longest match for an address, now or at a given time.

        Filters apply to these: a peer whose longest match does not pass is left out.
        """
        return self.rib(address, filters, match="longest", at=at, deadline=deadline)

    # --- of all -----------------------------------------------------------------------------------------------------

    top = _method(TopQuestion)
    peers = _method(PeersQuestion)
    intents = _method(IntentsQuestion)
    convergence = _method(ConvergenceQuestion)

    async def status(self) -> CollectorStatus:
        """The state of the collector on the data directory, and of its store."""
        from collector.query.status import status

        return await status(self._data_dir, None if isinstance(self._store, StoreUnavailableError) else self._store)
