"""Where a question goes on: tokens that are opaque to who keeps them, as `after` of the very same question."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from collector.errors import UsageError
from collector.rib.routes import RouteKey, milliseconds, moment
from schemas.query import HistoryEntry

if TYPE_CHECKING:
    from collector.query.batch import Batch
    from collector.query.rib import ShownRoute

_VERSION = 1


def _write(question: str, *place: Any) -> str:
    content = json.dumps([_VERSION, _digest(question), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read(token: str, question: str) -> list[Any]:
    """The place in a token.

    Raises:
        UsageError: it is none of ours, or of another question.
    """
    try:
        version, digest, *place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        raise UsageError(f"{token[:80]!r} is not a cursor", "give one as an answer had it, or none") from None
    if (version, digest) != (_VERSION, _digest(question)):
        raise UsageError("the cursor is of another question", "ask the same question, or leave the cursor out")
    return list(place)


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:12]


class TimeMark:
    """How far answers have been given that come in the order of time.

    Args:
        question: what tells the question from others, but times.
        after: the cursor that it goes on from.

    Raises:
        UsageError: the cursor is none, or of another question.
    """

    def __init__(self, question: str, after: str | None) -> None:
        self._question = question
        self._ts: int | None = None
        self._given = 0
        if after:
            self._ts, self._given = _read(after, question)

    @property
    def start(self) -> datetime | None:
        """The time to begin with; None: the question's own."""
        return None if self._ts is None else moment(self._ts)

    async def follow(self, entries: AsyncIterator[HistoryEntry]) -> AsyncIterator[HistoryEntry]:
        """Entries from `start` on, without those that were given before."""
        begin, left = self.start, self._given
        async for entry in entries:
            if left and entry.ts == begin:
                left -= 1
                continue
            yield entry

    def see(self, entry: HistoryEntry) -> None:
        """Take it into account that an entry is given."""
        ts = milliseconds(entry.ts)
        self._given = self._given + 1 if ts == self._ts else 1
        self._ts = ts

    def token(self) -> str | None:
        """The cursor."""
        return None if self._ts is None else _write(self._question, self._ts, self._given)


class RouteMark:
    """How far routes have been given, by peer, then in the order of their prefixes."""

    def __init__(self, question: str, after: str | None) -> None:
        self._question = question
        self._last: tuple[Batch, RouteKey] | None = None
        self.place: ShownRoute | None = None
        """Where to go on."""
        self.at: datetime | None = None
        """The moment that was asked about, however it was written."""
        if after:
            from collector.query.rib import ShownRoute

            at, peer, collector, session, route = _read(after, question)
            self.place = ShownRoute(peer, collector, session, bytes.fromhex(route))
            self.at = None if at is None else moment(at)

    def see(self, batch: Batch, key: RouteKey) -> None:
        """Take it into account that a route is given."""
        self._last = batch, key

    def token(self) -> str | None:
        """The cursor."""
        from collector.query.rib import ShownRoute

        place = ShownRoute.of(self._last[0].rib.session, self._last[1]) if self._last else self.place
        if place is None:
            return None
        at = None if self.at is None else milliseconds(self.at)
        return _write(self._question, at, place.peer, place.collector, place.session, place.route.hex())
