"""Which session each line belongs to: a state machine over the lines in order.

Its state is part of each acknowledgement of the spool, so lines that are read again after a crash get the same
sessions, and the sessions' documents the same content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast, get_args

from bson import ObjectId
from typing_extensions import TypeIs

from collector.archive.gaps import GapFinder
from collector.archive.tally import counts_of, tally
from collector.archive.tracker_state import STATE, PeerState, TrackerState
from collector.bgp.notifications import closes_session
from collector.sources.source import NONE, Effect, End, ResentTable, SessionFacts, Source
from schemas import documents
from schemas.documents import Gap, Place, Session
from schemas.keys import collector_number, instance_name, make_key
from schemas.message import ClockSet, Counted, Event, Message, ReceiverStart, Reload
from schemas.message_parts import Capability
from schemas.notes import GapsNote, TrackerNote
from schemas.peer import Peer

_UNHEARD = "its end was not heard"
_PLAUSIBLE = timedelta(days=1)
"""The time of an unreadable line is trusted if it is at most this much before that of the previous line."""
_MOST_RESENT = 100
"""The maximum number of resent tables that a session's document lists."""
_MAY_HAVE_ROUTES = (None, "update")
"""The types of lines that may change routes; None is that of an unreadable line whose type is unknown."""

# Looked up by kind, because every line is tested: testing a model's class takes many times as long.
_EVENTS = frozenset(get_args(model.model_fields["kind"].annotation)[0] for model in get_args(Event))
_OF_ROUTES = frozenset(("update", "eor", "refresh"))
"""Messages about routes, which a peer sends only in a session."""
_OF_A_SESSION = _OF_ROUTES | {"keepalive"}
_OURS = ("sent", "sent_update")
"""Messages that do not come from the peer."""


class SessionTracker:
    """Follows the lines of one spool, and keeps the session of every peer.

    Args:
        source: where the spool's lines come from.
        collector: the collector's name.
        ranges: the configured peer ranges (`192.0.2.0/24`), whose peers share a counter.
        note: the value of `note` at the position that reading starts from; empty at the very beginning.
        instance: which of the collector's spools this is.
    """

    def __init__(
        self,
        source: Source,
        collector: str,
        ranges: Iterable[str] = (),
        note: TrackerNote | None = None,
        *,
        instance: str = "",
    ) -> None:
        self._source = source
        self._collector = collector
        self._number = collector_number(instance_name(collector, instance))
        self._state = STATE.validate_python(note) if note else TrackerState()
        self._continuity = source.continuity(ranges, note.get("gaps", {}) if note else {})
        self._gaps = GapFinder(collector, self._number, self._continuity, self._state.gaps)
        # by `id`, because every line is looked up: hashing the key itself takes many times as long
        self._dirty: dict[int, Session] = {}

    @property
    def time(self) -> datetime:
        """The stored time of the last line: no later document is older."""
        return self._state.last_ts

    def note(self) -> TrackerNote:
        """The state, as JSON."""
        noted: TrackerNote = STATE.dump_python(self._state, mode="json", exclude_none=True)
        noted["gaps"].update(cast("GapsNote", self._continuity.note()))
        return noted

    def end_all(self, reason: str) -> None:
        """End all sessions that are up, as of the last record, because what follows is unknown.

        Args:
            reason: why it is unknown, in words.
        """
        self._end_all(self._state.gaps.next_line or 0, self._state.last_ts, Effect(ended=reason))

    def take_changed(self) -> Sequence[Session]:
        """The sessions that changed since the last call, in their current state."""
        changed = [session.model_copy(deep=False) for session in self._dirty.values()]
        self._dirty.clear()
        return changed

    def take_gaps(self) -> Sequence[Gap]:
        """The gaps that were found since the last call."""
        return self._gaps.take()

    def capabilities(self, name: str) -> list[Capability] | None:
        """The capabilities in a peer's last recorded OPEN; None if its session is not up, [] if there is no OPEN."""
        neighbour = self._state.neighbours.get(name)
        if neighbour is None or neighbour.session is None:
            return None
        return neighbour.session.capabilities or neighbour.offered or []

    def reject(self, line: int, counted: Counted | None = None, reason: str = "") -> Place:
        """The place of a line that cannot be read, though its peer and its count may be known.

        Args:
            line: its number.
            counted: the peer and the count, if the line has them.
            reason: why it cannot be read.
        """
        ts = before = self._state.last_ts
        if counted and counted.ts and before <= counted.ts < before + _PLAUSIBLE:
            ts = self._state.last_ts = counted.ts
        self._gaps.line(line, before, ts)
        if counted:
            if not counted.peer.asn:
                counted = counted._replace(peer=self._state.known(counted.peer))
            self._act(line, before, ts, self._gaps.count(line, ts, counted))
            if counted.kind in _MAY_HAVE_ROUTES:
                self._gaps.reject(line, ts, counted.peer, reason)
        return self._place(ts, line, None)

    def follow(self, line: int, message: Message) -> Place:
        """Process the next line; returns where its message belongs.

        The time of a place is the line's own, but never before that of an earlier line: setting a clock back does not
        change the order of documents.
        """
        if message.kind == "answer":
            return self.reject(line)
        state = self._state
        before = state.last_ts
        ts = max(before, message.ts)
        self._gaps.line(line, before, ts)
        if _is_event(message):
            # What a receiver notices is newer than the lines that are still in the pipe: those keep their own times. A
            # feed has no pipe: what it sends after a start comes after that, and after its gap.
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
        """The session to which a peer's table in a RIB dump belongs: the current one, or one that begins with it.

        Args:
            line: a line number for the key of a new session, unique to this peer.
            ts: the dump's time.
            peer: whose table it is.
        """
        self._state.last_ts = max(self._state.last_ts, ts)
        neighbour = self._state.neighbours.setdefault(peer.name, PeerState(last_seen=ts))
        if neighbour.session is None:
            key, neighbour.ended = make_key(ts, self._number, line), None
            neighbour.session = Session(
                key=key,
                collector=self._collector,
                peer=peer,
                since=ts,
                began="table",
                last_seen=ts,
                families=[],
                path_ids=False,
            )
        session = neighbour.session
        session.last_seen = neighbour.last_seen = ts
        self._dirty[id(session)] = session
        return session

    def _act(self, line: int, before: datetime, ts: datetime, effect: Effect) -> None:
        """Apply what a line says about other sessions than its own, or about all sessions."""
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
        elif neighbour.session is None and kind in _OF_ROUTES:
            self._begin_with_routes(line, key, ts, neighbour, message, effect)
        session = neighbour.session
        if kind == "open":
            neighbour.opened = message.model_dump(include={"router_id", "hold_time", "capabilities", "local"})
            neighbour.offered = neighbour.opened["capabilities"]
            if session is None:
                neighbour.gaps = self._state.gaps.gaps
        elif session is None and neighbour.opened and kind == "keepalive":
            neighbour.opened["last_keepalive"] = ts  # it confirms the OPEN (RFC 4271 8.2.2), before `up`
        if session is None:
            return self._place(ts, line, self._reported_end(line, ts, message, neighbour))
        if kind not in _OURS:
            tally(session, ts, message)
        self._dirty[id(session)] = session
        if kind in ("notification", "sent"):
            self._notified(line, ts, message, neighbour)
        if kind == "state" and message.state == "down":
            neighbour.ended, neighbour.gaps = session, self._state.gaps.gaps
            self._end(line, ts, neighbour, self._source.explain(message.reason, neighbour.notification))
        return Place(key, ts, self._collector, session.key)

    def _look_at_ended(self, line: int, ts: datetime, message: Any, neighbour: PeerState) -> None:
        """Forget an ended session when another one begins; continue it if its peer does."""
        kind = message.kind
        if kind == "open" or (kind == "state" and message.state != "down"):
            neighbour.ended = neighbour.closed = None
        elif neighbour.ended and kind in _OF_A_SESSION:
            self._take_up(line, ts, message.peer, neighbour)

    def _place(self, ts: datetime, line: int, session: ObjectId | None) -> Place:
        return Place(make_key(ts, self._number, line), ts, self._collector, session)

    # --- sessions -----------------------------------------------------------------------------------------------

    def _begin_with_routes(
        self, line: int, key: ObjectId, ts: datetime, neighbour: PeerState, message: Any, effect: Effect
    ) -> None:
        """Begin a session whose `up` was not reported; unless nothing else of it is missing, that is a gap."""
        if effect.begun is not None:
            neighbour.opened = dict(effect.begun)
        confirmed = "last_keepalive" in (neighbour.opened or {}) and neighbour.gaps == self._state.gaps.gaps
        if effect.begun is not None or confirmed:
            self._begin(key, ts, neighbour, message, "up")
        else:
            self._gaps.unheard(line, None, ts, message.peer)
            self._begin(key, ts, neighbour, message, "seen")

    def _notified(self, line: int, ts: datetime, message: Any, neighbour: PeerState) -> None:
        """End the session with the NOTIFICATION in a message, if it has one: it closes the connection (RFC 4271 6)."""
        found = self._source.notification_of(message)
        if found is None:
            return
        neighbour.notification = found
        if closes_session(found.code, found.subcode) and not self._source.reports_ends:
            neighbour.closed = neighbour.session
            self._end(line + 1, ts, neighbour, self._source.explain(None, found))

    def _begin(
        self, key: ObjectId, ts: datetime, neighbour: PeerState, message: Any, began: Literal["up", "seen"]
    ) -> None:
        facts: dict[str, Any] = {**(neighbour.opened or {}), **self._source.session_facts(message)}
        if message.kind == "state":
            facts["local"] = message.local
        neighbour.session = Session(
            key=key,
            collector=self._collector,
            peer=message.peer,
            since=ts,
            began=began,
            last_seen=ts,
            families=[],
            path_ids=False,
            **facts,
        )
        neighbour.closed = None
        self._dirty[id(neighbour.session)] = neighbour.session

    def _end(self, line: int, ts: datetime, neighbour: PeerState, end: End) -> None:
        if (session := neighbour.end(line, ts, end)) is not None:
            self._dirty[id(session)] = session

    def _reported_end(self, line: int, ts: datetime, message: Any, neighbour: PeerState) -> ObjectId | None:
        """The key of the session that a NOTIFICATION had closed, if this is its `down`: it ends there, as reported."""
        session = neighbour.closed
        if session is None or message.kind != "state" or message.state != "down":
            return None
        session.until, session.until_line = ts, line
        self._dirty[id(session)] = session
        neighbour.closed = None
        return session.key

    def _take_up(self, line: int, ts: datetime, peer: Peer, neighbour: PeerState) -> None:
        """Continue a session whose `down` was not its end, unless the beginning of another may have been lost.

        Its earlier routes are uncertain until the peer has sent them again.
        """
        session, neighbour.ended = neighbour.ended, None
        if session is not None and session.reason != self._source.silence and neighbour.gaps == self._state.gaps.gaps:
            neighbour.go_on(session)
            self._gaps.unheard(line, session.last_seen, ts, peer)

    def _take_up_all(self, line: int, ts: datetime, effect: Effect) -> None:
        """Continue sessions that were wrongly taken for ended; their routes are uncertain."""
        facts = effect.resumed or {}
        for neighbour in self._state.named(effect.names):
            session = neighbour.ended
            if session and not neighbour.session and session.reason == self._source.silence and _has(session, facts):
                neighbour.ended = None
                neighbour.go_on(session)
                self._dirty[id(session)] = session
                self._gaps.unheard(line, session.last_seen, ts, session.peer)

    def _end_all(self, line: int, ts: datetime, effect: Effect) -> None:
        """End all sessions that are still up, as of `ts` or their own last message: what follows is unknown."""
        reason = effect.ended or ""
        for neighbour in self._state.named(effect.names):
            neighbour.ended = neighbour.session if reason == self._source.silence else None
            if neighbour.session:
                self._end(line, max(ts, neighbour.session.last_seen), neighbour, End(effect.by, reason))

    def _sent_again(self, ts: datetime, table: ResentTable) -> None:
        """Record that a peer sent its whole table again in a session that is up."""
        for neighbour in self._state.named((table.peer,)):
            if session := neighbour.session:
                come = [documents.Resent(family=family, begin=table.begin, end=ts) for family in table.families]
                session.resent = [*(session.resent or ()), *come][-_MOST_RESENT:]
                self._dirty[id(session)] = session


def _has(session: Session, facts: SessionFacts) -> bool:
    return all(getattr(session, name) == value for name, value in facts.items())


def _is_event(message: Message) -> TypeIs[Event]:
    return message.kind in _EVENTS
