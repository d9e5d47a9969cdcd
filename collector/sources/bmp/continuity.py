"""Detects what a router did not report because its connection was lost, and when it has reported everything again.

A lost connection ends no sessions: those between the router and its peers continue, but their routes become uncertain.
With the next connection the router reports the peers whose sessions are up, and sends their tables again (RFC 7854
3.3). A table is complete with its End-of-RIB, or, if the router sends none, when nothing of it has arrived for `QUIET`.
Routes that it did not repeat are gone then.
"""

# ruff: noqa: ARG002  # arguments are the protocol's

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from pydantic import TypeAdapter

from collector.bgp.notifications import closes_session
from collector.sources.bmp import words
from collector.sources.source import NONE, Effect, Loss, ResentTable, SessionFacts
from schemas.json_object import JsonObject
from schemas.message import Counted, Dropped, Event, Notification, ReceiverStart, RouterEvent, StateChange, Update
from schemas.notes import SourceNote
from schemas.peer import Peer
from schemas.stored import GapCause

QUIET = timedelta(seconds=10)
"""A table that is being sent again is complete after a pause this long."""
UNNAMED = timedelta(minutes=5)
"""A peer that a router has not reported for this long after reconnecting is no longer up."""
SILENCE = "the receiver fell silent"
_LOOK = timedelta(seconds=1)
"""How often to check whether a table is complete."""
_LOST_WORDS = "the BMP connection was lost"
_BEGIN = datetime.fromtimestamp(0, UTC)
_OF_ROUTES = frozenset(("update", "eor", "refresh"))
_FACTS = ("router_id", "hold_time", "capabilities")


@dataclass(slots=True)
class _View:
    """One table of a peer that the router reports, or the messages of the peer that it mirrors."""

    peer: Peer
    last_message: datetime
    """When it was last reported."""
    families: list[str] = field(default_factory=list)
    """The families reported so far."""
    coming: datetime | None = None
    """Since when the table is being sent again, or for the first time after a loss."""
    come: list[str] = field(default_factory=list)
    """The families that have been sent completely."""


@dataclass(slots=True)
class _ReportedSession:
    """A peer's session, as the router reported it in a Peer Up."""

    ports: list[int]
    """The ports, which distinguish it from other sessions."""
    named: bool
    """Whether a Peer Up reported it in the router's current connection."""
    facts: JsonObject
    closed: bool = False
    """Whether a mirrored NOTIFICATION has closed it; its Peer Down, and what the router still has of it, follow."""


@dataclass(slots=True)
class _FollowedRouter:
    connected: bool = False
    since: datetime = _BEGIN
    """When its connection came up, or was lost."""
    looked: datetime = _BEGIN
    sessions: dict[str, _ReportedSession] = field(default_factory=dict)
    """Those that are up, by the peer's name."""
    views: dict[str, _View] = field(default_factory=dict)
    """By the name of the peer and its table."""

    def of(self, name: str) -> Iterator[_View]:
        """The view of a peer."""
        return (view for view in self.views.values() if view.peer.itself.name == name)


_STATE = TypeAdapter(dict[str, _FollowedRouter])


class RouterContinuity:
    """Follows the records of one spool; see `collector.sources.source.Continuity`.

    Args:
        note: the value of `note` at the position that reading starts from.
    """

    def __init__(self, note: SourceNote) -> None:
        self._routers = _STATE.validate_python(note.get("routers", {}))
        self._hole: list[Loss] = []

    def note(self) -> SourceNote:
        """The state, as JSON."""
        return {"routers": _STATE.dump_python(self._routers, mode="json", exclude_none=True)}

    def hole(self, line: int, since: datetime, until: datetime, records: int) -> bool:
        """A damaged part of the spool may have contained anything."""
        self._hole = list(self._anything_lost(since, "spool", None))
        return True

    def event(self, line: int, ts: datetime, message: Event) -> Effect:
        """Process the start or end of a connection, or of a receiver."""
        losses, self._hole = self._hole, []
        if isinstance(message, Dropped):
            since = min(message.since, ts)
            losses.append(Loss(None, since, message.lines, "disk", message.reason))
            losses += self._anything_lost(since, "disk", message.reason)
        elif isinstance(message, ReceiverStart):
            for router in self._routers.values():
                losses += _lost(router, ts, f"{_LOST_WORDS}: the receiver ended without a word")
        elif isinstance(message, RouterEvent) and message.event == "disconnected":
            losses += _lost(self._router(message.router), ts, f"{_LOST_WORDS}: {message.reason}")
        elif isinstance(message, RouterEvent) and message.event == "connected":
            losses += _connected(self._router(message.router), ts)
        return Effect(losses) if losses else NONE

    def count(self, line: int, ts: datetime, counted: Counted) -> Effect:
        """Process a message about a peer."""
        router = self._router(counted.peer.router or "")
        effect = self._peer_message(router, ts, counted)
        if ts - router.looked >= _LOOK:
            router.looked = ts
            effect = _with(effect, *_look(router, ts))
        if self._hole:
            losses, self._hole = self._hole, []
            effect = effect._replace(losses=(*losses, *effect.losses))
        return effect

    def _router(self, address: str) -> _FollowedRouter:
        return self._routers.setdefault(address, _FollowedRouter())

    def _anything_lost(self, since: datetime, cause: GapCause, reason: str | None) -> Iterator[Loss]:
        for router in self._routers.values():
            for view in router.views.values():
                view.coming = None
                yield Loss(view.peer, since, None, cause, reason)

    def _peer_message(self, router: _FollowedRouter, ts: datetime, counted: Counted) -> Effect:
        message, kind = counted.message, counted.kind
        if isinstance(message, StateChange):
            return _up(router, ts, message) if message.state == "up" else _down(router, message)
        if kind == "mirroring":
            lost = message is not None and message.detail.get("information") == "lost"
            return Effect([Loss(counted.peer, ts, None, "router", "it lost what it was to mirror")]) if lost else NONE
        if kind == "statistics":
            return NONE
        if isinstance(message, Notification):
            return _notified(router, message)
        return _monitored(router, ts, counted)


def _lost(router: _FollowedRouter, ts: datetime, reason: str) -> Iterator[Loss]:
    """A router's connection is lost."""
    if router.connected:
        router.connected, router.since = False, ts
        for view in router.views.values():
            view.coming = None
            yield Loss(view.peer, view.last_message, None, "router", reason)


def _connected(router: _FollowedRouter, ts: datetime) -> Iterator[Loss]:
    """A router has connected: tables without sessions are sent at once, others after their Peer Up."""
    lost, router.connected, router.since = router.since, True, ts
    for session in router.sessions.values():
        session.named = False
    for view in router.views.values():
        if view.peer.itself.name not in router.sessions:
            yield _comes(view, lost, ts)


def _comes(view: _View, lost: datetime, ts: datetime) -> Loss:
    """A table is sent again; what was said in between is unknown."""
    if view.peer.rib is not None:  # what is mirrored is not sent again
        view.coming, view.come, view.last_message = ts, [], ts
    return Loss(view.peer, lost, None, "router", _LOST_WORDS)


def _up(router: _FollowedRouter, ts: datetime, message: StateChange) -> Effect:
    name, ports = message.peer.name, list((message.source.model_extra or {}).get("ports", ()))  # type: ignore[union-attr]
    known = router.sessions.get(name)
    if known is None or known.ports != ports or known.closed:
        ended = NONE
        if known:
            names = frozenset((name, *(view.peer.name for view in router.of(name))))
            ended = Effect(ended="another session of it came up: its end was not heard", names=names, by="router")
        _forget(router, name)
        received = (message.opens or {"received": {}})["received"]
        facts = {fact: received[fact] for fact in _FACTS if fact in received}
        router.sessions[name] = _ReportedSession(ports, named=True, facts=facts)
        return ended
    losses = [] if known.named else [_comes(view, router.since, ts) for view in router.of(name)]
    known.named = True
    return Effect(losses, goes_on=True)


def _down(router: _FollowedRouter, message: StateChange) -> Effect:
    name = message.peer.name
    names = frozenset(view.peer.name for view in router.of(name)) - {name}
    _forget(router, name)
    if not names:
        return NONE
    end = words.explain(message.reason, None)
    return Effect(ended=end.reason, names=names, by=end.by)


def _notified(router: _FollowedRouter, message: Notification) -> Effect:
    """A mirrored NOTIFICATION closes the session, and all its tables end with it."""
    session = router.sessions.get(message.peer.name)
    if session is None or session.closed:
        return Effect(is_late=True)
    if not closes_session(message.code, message.subcode):
        return NONE
    session.closed = True
    names = frozenset(view.peer.name for view in router.of(message.peer.name)) - {message.peer.name}
    end = words.explain(None, words.notification_of(message))
    return Effect(ended=end.reason, names=names, by=end.by)


def _forget(router: _FollowedRouter, name: str) -> None:
    for view in list(router.of(name)):
        del router.views[view.peer.name]
    router.sessions.pop(name, None)


def _monitored(router: _FollowedRouter, ts: datetime, counted: Counted) -> Effect:
    """A router reports routes, or mirrors a peer's message."""
    peer, message = counted.peer, counted.message
    session = router.sessions.get(peer.itself.name)
    if session.closed if session else peer.rib is None:  # FRR continues to mirror after a Peer Down
        return Effect(is_late=True)
    view = router.views.get(peer.name)
    effect = NONE
    if view is None:
        if counted.kind not in _OF_ROUTES:
            return NONE
        view = router.views[peer.name] = _View(peer, ts)
        if session:
            effect = Effect(begun=cast("SessionFacts", session.facts))
        elif peer.rib is not None:
            view.coming = ts
    view.last_message = ts
    if isinstance(message, Update):
        for group in (*(message.announce or ()), *(message.withdraw or ())):
            if group["family"] not in view.families:
                view.families.append(group["family"])
    elif counted.kind == "eor" and message is not None:
        if message.family not in view.families:
            view.families.append(message.family)
        if view.coming and message.family not in view.come:
            view.come.append(message.family)
            return effect._replace(resent=(ResentTable(peer.name, (message.family,), view.coming),))
    return effect


def _look(router: _FollowedRouter, ts: datetime) -> tuple[list[ResentTable], frozenset[str]]:
    """Tables that are complete by now, and peers that are no longer up."""
    resent = []
    for view in router.views.values():
        if view.coming and ts - view.last_message >= QUIET:
            families = [family for family in view.families if family not in view.come]
            resent.append(ResentTable(view.peer.name, families, view.coming))
            view.coming = None
    gone: set[str] = set()
    if router.connected and ts - router.since >= UNNAMED:
        for name in [name for name, session in router.sessions.items() if not session.named]:
            gone.update((name, *(view.peer.name for view in router.of(name))))
            _forget(router, name)
    return resent, frozenset(gone)


def _with(effect: Effect, resent: Iterable[ResentTable], gone: frozenset[str]) -> Effect:
    if resent:
        effect = effect._replace(resent=(*effect.resent, *resent))
    if gone and not effect.ended:
        reason = "the router has not named it since its BMP connection came back"
        effect = effect._replace(ended=reason, names=gone, by="router")
    return effect
