"""Which session each line belongs to: a state machine over the lines in order.

Its state is part of each acknowledgement of the spool, so that reading lines again after a crash gives each of
them the same session, and each session's document the same content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from bson import ObjectId
from typing_extensions import TypeIs

from collector.archive.gaps import GapFinder
from collector.archive.tally import counts_of, tally
from collector.archive.tracker_state import STATE, PeerState, TrackerState
from collector.sources.source import NONE, Effect, End, ResentTable, Source
from schemas import documents
from schemas.documents import Gap, Place, Session
from schemas.keys import collector_number, instance_name, make_key
from schemas.message import ClockSet, Counted, Event, Message, Peer, ReceiverStart, Reload

_UNHEARD = "its end was not heard"
_PLAUSIBLE = timedelta(days=1)
"""A line that cannot be read is believed its time when it is so little behind that of the one before."""
_MOST_RESENT = 100
"""Tables that came again, of which a session's document tells."""
_MAY_HAVE_ROUTES = (None, "update")
"""The types of lines that may say something of routes; of a line that cannot be read the type may be unknown."""

# By kinds, as every line is asked what it is: to ask a model for its class takes many times as long.
_EVENTS = frozenset(get_args(model.model_fields["kind"].annotation)[0] for model in get_args(Event))
_OF_ROUTES = frozenset(("update", "eor", "refresh"))
"""What a peer says of routes, and in a session only."""
_OF_A_SESSION = _OF_ROUTES | {"keepalive"}
_OURS = ("sent", "sent_update")
"""Messages that are not the peer's."""


class SessionTracker:
    """Follows the lines of one spool, and keeps the session of every peer.

    Args:
        source: what the spool is of.
        collector: the collector's name.
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: what `note` gave at the position that reading starts from; empty at the very beginning.
        instance: which of the collector's spools this is.
    """

    def __init__(
        self,
        source: Source,
        collector: str,
        ranges: Iterable[str] = (),
        note: Mapping[str, Any] | None = None,
        *,
        instance: str = "",
    ) -> None:
        self._source = source
        self._collector = collector
        self._number = collector_number(instance_name(collector, instance))
        self._state = STATE.validate_python(note) if note else TrackerState()
        self._continuity = source.continuity(ranges, note.get("gaps", {}) if note else {})
        self._gaps = GapFinder(collector, self._number, self._continuity, self._state.gaps)
        self._dirty: dict[int, Session] = {}  # by `id`, as every line looks: a key's own hash takes many times as long

    @property
    def time(self) -> datetime:
        """The stored time of the last line: nothing behind it is older."""
        return self._state.last_ts

    def note(self) -> dict[str, Any]:
        """The state, as JSON."""
        noted: dict[str, Any] = STATE.dump_python(self._state, mode="json", exclude_none=True)
        noted["gaps"].update(self._continuity.note())
        return noted

    def end_all(self, reason: str) -> None:
        """End all sessions that are up, as of the last record: nothing is known of later.

        Args:
            reason: why no more is known, in words.
        """
        self._end_all(self._state.gaps.next_line or 0, self._state.last_ts, Effect(ended=reason))

    def take_changed(self) -> Sequence[Session]:
        """The sessions that changed since the last call, as they stand now."""
        changed = [session.model_copy(deep=False) for session in self._dirty.values()]
        self._dirty.clear()
        return changed

    def take_gaps(self) -> Sequence[Gap]:
        """The gaps that were found since the last call."""
        return self._gaps.take()

    def capabilities(self, name: str) -> list[dict[str, Any]] | None:
        """What a peer offered in its last OPEN that was heard; None if its session is not up, [] if none was."""
        neighbour = self._state.neighbours.get(name)
        if neighbour is None or neighbour.session is None:
            return None
        return neighbour.session.capabilities or neighbour.offered or []

    def reject(self, line: int, counted: Counted | None = None, reason: str = "") -> Place:
        """The place of a line that says nothing that we understand, but perhaps for whose it is and its count.

        Args:
            line: its number.
            counted: what it says of itself.
            reason: why it cannot be read.
        """
        ts = before = self._state.last_ts
        if counted and counted.ts and before <= counted.ts < before + _PLAUSIBLE:
            ts = self._state.last_ts = counted.ts
        self._gaps.line(line, before, ts)
        if counted:
            if not counted.peer.asn:
                counted = counted._replace(peer=self._known(counted.peer))
            self._act(line, before, ts, self._gaps.count(line, ts, counted))
            if counted.kind in _MAY_HAVE_ROUTES:
                self._gaps.reject(line, ts, counted.peer, reason)
        return self._place(ts, line, None)

    def follow(self, line: int, message: Message) -> Place:
        """Process the next line; returns where its message belongs.

        The time of a place is the line's own, but never before that of an earlier line: a clock that was set back
        changes the order of nothing.
        """
        if message.kind == "answer":
            return self.reject(line)
        state = self._state
        before = state.last_ts
        ts = max(before, message.ts)
        self._gaps.line(line, before, ts)
        if _is_event(message):
            # What a receiver notices is younger than the lines that it finds in the pipe: they keep their own times. A
            # feed has no pipe: what it says after a start is behind that, and behind its gap.
            if not (self._source.in_order and isinstance(message, ReceiverStart | Reload | ClockSet)):
                state.last_ts = ts
            if isinstance(message, ClockSet):
                state.clock_set(line, message)
            self._act(line, before, ts, self._gaps.event(line, ts, message))
            return self._place(ts, line, None)
        state.last_ts = ts
        if message.ts < state.clock and self._source.in_order:
            state.clock_went_back(line, message.ts)
        state.clock = message.ts
        effect = self._gaps.count(line, ts, counts_of(message))
        if effect is not NONE:
            self._act(line, before, ts, effect)
        name = message.peer.name
        neighbour = state.neighbours.get(name)
        if neighbour is None:
            neighbour = state.neighbours[name] = PeerState(last_seen=ts)
        place = self._apply(line, ts, message, neighbour, effect)
        neighbour.last_seen = ts
        return place

    def table(self, line: int, ts: datetime, peer: Peer) -> Session:
        """The session that a peer's table in a RIB dump is of: that which goes on, or one that begins with it.

        Args:
            line: a number of the peer's own, for the key of a new one.
            ts: the dump's time.
            peer: whose table.
        """
        self._state.last_ts = max(self._state.last_ts, ts)
        neighbour = self._state.neighbours.setdefault(peer.name, PeerState(last_seen=ts))
        if neighbour.session is None:
            key, neighbour.ended = make_key(ts, self._number, line), None
            neighbour.session = Session(
                key=key, collector=self._collector, peer=peer, since=ts, began="table", last_seen=ts
            )
        session = neighbour.session
        session.last_seen = neighbour.last_seen = ts
        self._dirty[id(session)] = session
        return session

    def _known(self, peer: Peer) -> Peer:
        """A peer with its AS, which the line did not tell, if it has had a session."""
        neighbour = self._state.neighbours.get(peer.name)
        session = neighbour and (neighbour.session or neighbour.ended)
        return session.peer if session else peer

    def _act(self, line: int, before: datetime, ts: datetime, effect: Effect) -> None:
        """Do what a line tells of other sessions than its own, or of all."""
        for table in effect.resent:
            self._sent_again(ts, table)
        if effect.ended:
            self._end_all(line, before if effect.ended == self._source.silence else ts, effect)
        elif effect.resumed is not None:
            self._take_up_all(line, ts, effect)

    # --- one line -----------------------------------------------------------------------------------------------

    def _apply(self, line: int, ts: datetime, message: Any, neighbour: PeerState, effect: Effect) -> Place:
        key = make_key(ts, self._number, line)
        kind = message.kind
        if effect.is_late:
            return self._place(ts, line, None)
        self._look_at_ended(line, ts, message, neighbour)
        if kind == "state" and message.state == "up" and not (effect.goes_on and neighbour.session):
            if neighbour.session:
                self._end(line, neighbour.last_seen, neighbour, End("collector", _UNHEARD))
            self._begin(key, ts, neighbour, message, "up")
        elif neighbour.session is None and kind in _OF_ROUTES and effect.begun is not None:
            neighbour.opened = dict(effect.begun)
            self._begin(key, ts, neighbour, message, "up")
        elif neighbour.session is None and kind in _OF_ROUTES:
            self._gaps.unheard(line, None, ts, message.peer)
            self._begin(key, ts, neighbour, message, "seen")
        session = neighbour.session
        if kind == "open":
            neighbour.opened = message.model_dump(include={"router_id", "hold_time", "capabilities", "local"})
            neighbour.offered = neighbour.opened["capabilities"]
        elif session is None and neighbour.opened and kind == "keepalive":
            neighbour.opened["last_keepalive"] = ts  # it confirms the OPEN (RFC 4271 8.2.2), ahead of `up`
        if session is None:
            return self._place(ts, line, None)
        if kind not in _OURS:
            tally(session, ts, message)
        self._dirty[id(session)] = session
        if kind in ("notification", "sent"):
            neighbour.notification = self._source.heard(message) or neighbour.notification
        if kind == "state" and message.state == "down":
            neighbour.ended, neighbour.gaps = session, self._state.gaps.gaps
            self._end(line, ts, neighbour, self._source.explain(message.reason, neighbour.notification))
        return Place(key, ts, self._collector, session.key)

    def _look_at_ended(self, line: int, ts: datetime, message: Any, neighbour: PeerState) -> None:
        """Forget a session that has ended when another one begins; go on with it when its peer does."""
        kind = message.kind
        if kind == "open" or (kind == "state" and message.state != "down"):
            neighbour.ended = None
        elif neighbour.ended and kind in _OF_A_SESSION:
            self._take_up(line, ts, message.peer, neighbour)

    def _place(self, ts: datetime, line: int, session: ObjectId | None) -> Place:
        return Place(make_key(ts, self._number, line), ts, self._collector, session)

    # --- sessions -----------------------------------------------------------------------------------------------

    def _begin(
        self, key: ObjectId, ts: datetime, neighbour: PeerState, message: Any, began: Literal["up", "seen"]
    ) -> None:
        facts = neighbour.opened or {}
        if message.kind == "state":
            facts = {**facts, "local": message.local}
        neighbour.session = Session(
            key=key,
            collector=self._collector,
            peer=message.peer,
            since=ts,
            began=began,
            last_seen=ts,
            **{**facts, **self._source.session_facts(message)},
        )
        self._dirty[id(neighbour.session)] = neighbour.session

    def _end(self, line: int, ts: datetime, neighbour: PeerState, end: End) -> None:
        session = neighbour.session
        if session is not None:
            session.until, session.until_line = ts, line
            session.ended_by, session.reason, session.notification = end
            self._dirty[id(session)] = session
            neighbour.session = neighbour.opened = neighbour.notification = None

    def _take_up(self, line: int, ts: datetime, peer: Peer, neighbour: PeerState) -> None:
        """Go on with a session whose `down` was not its end, unless the word of another may be lost.

        What it said is not certain until it has said it again.
        """
        session, neighbour.ended = neighbour.ended, None
        if session is not None and session.reason != self._source.silence and neighbour.gaps == self._state.gaps.gaps:
            _go_on(session)
            neighbour.session = session
            self._gaps.unheard(line, session.last_seen, ts, peer)

    def _take_up_all(self, line: int, ts: datetime, effect: Effect) -> None:
        """Go on with sessions that were only taken for ended; what stands of them is not certain."""
        facts = effect.resumed or {}
        for neighbour in self._named(effect.names):
            session = neighbour.ended
            if session and not neighbour.session and session.reason == self._source.silence and _has(session, facts):
                neighbour.ended, neighbour.session = None, session
                _go_on(session)
                self._dirty[id(session)] = session
                self._gaps.unheard(line, session.last_seen, ts, session.peer)

    def _end_all(self, line: int, ts: datetime, effect: Effect) -> None:
        """End all that is still up, as of `ts`: nothing is known of later, but for what it said itself."""
        reason = effect.ended or ""
        for neighbour in self._named(effect.names):
            neighbour.ended = neighbour.session if reason == self._source.silence else None
            if neighbour.session:
                self._end(line, max(ts, neighbour.session.last_seen), neighbour, End(effect.by, reason))

    def _named(self, names: Collection[str] | None) -> Iterator[PeerState]:
        """The peers of these names, as far as they are known; of None all."""
        neighbours = self._state.neighbours
        return (neighbours[name] for name in (neighbours if names is None else names) if name in neighbours)

    def _sent_again(self, ts: datetime, table: ResentTable) -> None:
        """Take note of a table that has come again whole in a session that is up."""
        for neighbour in self._named((table.peer,)):
            if session := neighbour.session:
                come = [documents.Resent(family=family, begin=table.begin, end=ts) for family in table.families]
                session.resent = [*(session.resent or ()), *come][-_MOST_RESENT:]
                self._dirty[id(session)] = session


def _has(session: Session, facts: Mapping[str, Any]) -> bool:
    return all(getattr(session, name) == value for name, value in facts.items())


def _go_on(session: Session) -> None:
    session.until = session.until_line = session.ended_by = session.reason = session.notification = None


def _is_event(message: Message) -> TypeIs[Event]:
    return message.kind in _EVENTS
