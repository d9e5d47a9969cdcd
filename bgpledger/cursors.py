"""Cursors: opaque tokens that say where a query continues, passed as `after` of the same query."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from collector.errors import UsageError
from collector.rib.routes import RouteKey, milliseconds, moment
from schemas.query import HistoryEntry
from schemas.scalars import normalise_address

if TYPE_CHECKING:
    from collector.query.batch import Batch
    from collector.query.follow import FollowedLine
    from collector.query.rib import ShownRoute
    from collector.store.meta import InstancePosition

_VERSION = 1
_LINES = "lines"
_Milliseconds = Annotated[int, Field(ge=0, lt=2**32 * 1000)]
"""Milliseconds since 1970, within the range of document keys."""
_Bytes = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


def _write(question: str, *place: Any) -> str:
    content = json.dumps([_VERSION, _digest(question), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read(token: str, question: str, shape: Any) -> Any:
    """The position in a token, which comes from outside; it is checked against its model.

    Raises:
        UsageError: the token is not a cursor, or belongs to another query.
    """
    not_ours = UsageError(f"{token[:80]!r} is not a cursor", "pass one from an earlier answer, or none")
    try:
        version, digest, *place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise not_ours from None
    if (version, digest) != (_VERSION, _digest(question)):
        raise UsageError("the cursor belongs to another query", "repeat the same query, or leave the cursor out")
    try:
        return TypeAdapter(shape).validate_python(place)
    except ValidationError:
        raise not_ours from None


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:12]


class TimeMark:
    """The position in answers that come in order of time.

    Args:
        question: what distinguishes the query from others, except times.
        after: the cursor to continue from.

    Raises:
        UsageError: it is not a cursor, or belongs to another query.
    """

    def __init__(self, question: str, after: str | None) -> None:
        self._question = question
        self._ts: int | None = None
        self._given = 0
        if after:
            self._ts, self._given = _read(after, question, tuple[_Milliseconds, int])

    @property
    def start(self) -> datetime | None:
        """The time to start from; None: the query's own."""
        return None if self._ts is None else moment(self._ts)

    @property
    def given(self) -> int:
        """How many of the entries of that time have been returned."""
        return self._given

    async def follow(self, entries: AsyncIterator[HistoryEntry]) -> AsyncIterator[HistoryEntry]:
        """Entries from `start` on, without those already returned."""
        begin, left = self.start, self.given
        async for entry in entries:
            if left and entry.ts == begin:
                left -= 1
                continue
            yield entry

    def see(self, entry: HistoryEntry) -> None:
        """Note that an entry is being returned."""
        ts = milliseconds(entry.ts)
        self._given = self._given + 1 if ts == self._ts else 1
        self._ts = ts

    def token(self) -> str | None:
        """The cursor."""
        return None if self._ts is None else _write(self._question, self._ts, self._given)


class _Last(NamedTuple):
    """The last line of an instance that was returned."""

    line: int
    ts: _Milliseconds
    place: str
    """Among the lines of its instance, in hexadecimal digits."""
    given: int
    """How many of its entries have been returned."""


_NOWHERE = _Last(-1, 0, "", 0)
_LinesState = tuple[dict[int, tuple[int, _Milliseconds]], dict[int, _Last]]


class LineMark:
    """The position of a reader that follows what is stored, as line numbers of each instance.

    Args:
        after: the earlier position.

    Raises:
        UsageError: it is not a cursor of this kind.
    """

    def __init__(self, after: str | None = None) -> None:
        self._reached: dict[int, tuple[int, int]] = {}
        """The line up to which everything has been returned, and its time in milliseconds."""
        self._last: dict[int, _Last] = {}
        """Lines after that."""
        if after:
            self._reached, self._last = _read(after, _LINES, _LinesState)

    def start(self, reached: Mapping[int, InstancePosition]) -> datetime | None:
        """The time to continue from in an archive that has reached these lines; None: nothing was returned yet."""
        behind = [
            ts for number, (line, ts) in self._reached.items() if number in reached and reached[number].line > line
        ]
        behind += [one.ts for number, one in self._last.items() if number not in self._reached]
        if not behind and self._reached:
            behind = [max(ts for _, ts in self._reached.values())]
        return moment(min(behind)) if behind else None

    def new_among(self, reached: Mapping[int, InstancePosition]) -> set[int]:
        """The instances that had stored nothing yet; empty if that is unknown."""
        return set(reached) - self._reached.keys() - self._last.keys() if self._reached else set()

    def given_of(self, followed: FollowedLine) -> int:
        """How many entries of a line have been returned."""
        self._take(followed.looked)
        if followed.line <= self._reached.get(followed.instance, (-1, 0))[0]:
            return len(followed.entries)
        last, place = self._last.get(followed.instance, _NOWHERE), followed.place.hex()
        return len(followed.entries) if place < last.place else last.given if place == last.place else 0

    def see(self, followed: FollowedLine, given: int) -> None:
        """Note that this many entries of a line have been returned."""
        self._last[followed.instance] = _Last(followed.line, milliseconds(followed.row.ts), followed.place.hex(), given)

    def token(self) -> str:
        """The cursor."""
        return _write(_LINES, self._reached, self._last)

    def _take(self, looked: Mapping[int, InstancePosition]) -> None:
        """Note that everything up to these lines has been returned, which leaves less to remember; never go back."""
        for number, at in looked.items():
            if at.line > self._reached.get(number, (-1, 0))[0]:
                self._reached[number] = at.line, milliseconds(at.ts)
                if self._last.get(number, _NOWHERE).line <= at.line:
                    self._last.pop(number, None)


def _peer_name(name: str) -> str:
    normalise_address(name.partition(" ")[0])  # raises ValueError for what is not an address
    return name


_Route = tuple[_Milliseconds | None, Annotated[str, AfterValidator(_peer_name)], str, str, _Bytes]
"""For `RouteMark`: the time, and the position of the route (`collector.query.rib.ShownRoute`)."""


class RouteMark:
    """The position in routes that come by peer, then in order of prefixes."""

    def __init__(self, question: str, after: str | None) -> None:
        self._question = question
        self._last: tuple[Batch, RouteKey] | None = None
        self.place: ShownRoute | None = None
        """Where to continue."""
        self.at: datetime | None = None
        """The time of the query, in whatever form it was written."""
        if after:
            from collector.query.rib import ShownRoute

            at, peer, collector, session, route = _read(after, question, _Route)
            self.place = ShownRoute(peer, collector, session, bytes.fromhex(route))
            self.at = None if at is None else moment(at)

    def see(self, batch: Batch, key: RouteKey) -> None:
        """Note that a route is being returned."""
        self._last = batch, key

    def token(self) -> str | None:
        """The cursor."""
        from collector.query.rib import ShownRoute

        place = ShownRoute.of(self._last[0].rib.session, self._last[1]) if self._last else self.place
        if place is None:
            return None
        at = None if self.at is None else milliseconds(self.at)
        return _write(self._question, at, place.peer, place.collector, place.session, place.route.hex())
