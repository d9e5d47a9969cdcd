"""Log messages about peers whose sessions end or do not come up: once, on changes, and from time to time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from collector.sources.source import End, Source
from schemas.documents import SessionNotification
from schemas.message import Message, Notification, Sent, StateChange, Update

log = logging.getLogger(__name__)

LOG_AGAIN_SECONDS = 600.0
LOG_CHANGE_SECONDS = 10.0
"""A peer with alternating reasons must not fill the log either."""


@dataclass(slots=True)
class _LoggedPeer:
    notification: SessionNotification | None = None
    reason: str | None = None
    logged: float = 0.0
    unsaid: int = 0


class PeerLog:
    """Follows the lines of one spool, and warns about each peer's problems.

    Args:
        source: where the lines come from.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._peers: dict[str, _LoggedPeer] = {}

    def follow(self, message: Message, *, in_session: bool) -> None:
        """Process the next line; `in_session` says whether it belongs to a session."""
        if isinstance(message, Update) or not isinstance(message, StateChange | Notification | Sent):
            return
        peer = self._peers.setdefault(message.peer.name, _LoggedPeer())
        if not isinstance(message, StateChange):
            peer.notification = self._source.notification_of(message) or peer.notification
        elif message.state == "down":
            what = "went down" if in_session else "did not come up"
            self._down(message, what, peer, self._source.explain(message.reason, peer.notification))
            peer.notification = None

    def _down(self, message: StateChange, what: str, peer: _LoggedPeer, end: End) -> None:
        if end.by == "collector":
            return
        now = self._clock()
        pause = LOG_AGAIN_SECONDS if end.reason == peer.reason else LOG_CHANGE_SECONDS
        if peer.reason is not None and now - peer.logged < pause:
            peer.unsaid += 1
            return
        log.warning(
            "peer %s (AS %d) %s at %s UTC: %s%s",
            message.peer.name,
            message.peer.asn,
            what,
            f"{message.ts:%Y-%m-%d %H:%M:%S}",
            end.reason,
            f" (and {peer.unsaid} more times since the last warning)" if peer.unsaid else "",
        )
        peer.reason, peer.logged, peer.unsaid = end.reason, now, 0
