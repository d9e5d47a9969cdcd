"""The sessions that had a table at a given time: those that were up, and those of peers that restarted gracefully."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from collector.store.mongo import Store
from schemas.peer import name_order
from schemas.stored import SessionDocument, name_of

_GRACEFUL_RESTART = 64
_LONGEST_RESTART = timedelta(seconds=4095)
"""The field has twelve bits (RFC 4724 3)."""


async def sessions_at(
    store: Store, at: datetime | None, peer: str | None
) -> AsyncIterator[tuple[SessionDocument, bool]]:
    """The sessions with a table at a given time, by peer.

    Args:
        store: the archive.
        at: the time; None: now.
        peer: only this peer's.

    Yields:
        Each session, and whether it had ended while its peer was restarting gracefully.
    """
    now = at or datetime.now(UTC)
    begun = [one async for one in _begun(store, now, peer) if at is None or one["since"] <= at]
    found = [(one, False) for one in begun if "until" not in one or (at and one["until"] > at)]
    there = {_who(session) for session, _ in found}
    # What stood at the last moment that a file, or a collector, has seen.
    found += [(one, False) for one in begun if _is_seen_until(one, at) and _who(one) not in there]
    there = {_who(session) for session, _ in found}
    ended = [one for one in begun if "until" in one and one["until"] <= now]
    for session in sorted(ended, key=lambda one: (one["until"], one["_id"]), reverse=True):
        if _who(session) not in there and now < session["until"] + _restart_time(session):
            found.append((session, True))
        there.add(_who(session))
    for session, stale in sorted(found, key=lambda one: (place_of(one[0]), one[0]["since"], one[0]["_id"])):
        yield session, stale


async def _begun(store: Store, now: datetime, peer: str | None) -> AsyncIterator[SessionDocument]:
    """The sessions of a peer, or all that had not ended long before: what an index serves, and a little more."""
    queries = [{"until": until} for until in (None, {"$gt": now - _LONGEST_RESTART})]
    for query in [{"peer.address": peer}] if peer else queries:
        async for session in store.find("sessions", query):
            yield session


def _is_seen_until(session: SessionDocument, at: datetime | None) -> bool:
    """Whether a session ended just then, only because nobody received any more."""
    return at is not None and session.get("until") == at and session["ended_by"] == "collector"


def _who(session: SessionDocument) -> tuple[str, str]:
    """The peer and the collector: a peer may have sessions with two collectors."""
    return name_of(session["peer"]), session["collector"]


def place_of(session: SessionDocument) -> tuple[int, bytes, str, str]:
    """The sort key of a session's peer."""
    return *name_order(name_of(session["peer"])), session["collector"]


def _restart_time(session: SessionDocument) -> timedelta:
    """How long a peer's routes may stand after its session (RFC 4724 4.2): not if a NOTIFICATION ended it."""
    if "router" in session["peer"]:  # it ends with its Peer Down, and all of its routes with it (RFC 7854 4.9)
        return timedelta(0)
    # 0.1 only stored the text
    notified = "notification" in session or "notification received" in session.get("reason", "")
    if session["ended_by"] != "peer" or notified:
        return timedelta(0)
    for capability in session.get("capabilities", ()):
        if capability.get("code") == _GRACEFUL_RESTART:
            return timedelta(seconds=int(capability.get("time", 0)))
    return timedelta(0)
