"""ExaBGP as we run it: its own program, with some faults of its reactor (5.0.15) fixed at the start.

Run by ExaBGP's Python, which may be 3.8 or PyPy, with no packages but ExaBGP. None of this can be configured;
docs/decisions/0003-exabgp.md describes the unpatched behaviour.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
import time
import traceback
from typing import Any, Iterator  # noqa: UP035  # Python 3.8 takes this one

import exabgp.reactor.peer  # type: ignore[import-untyped]  # it has no types
from exabgp.application.main import main  # type: ignore[import-untyped]
from exabgp.bgp.message import Notification  # type: ignore[import-untyped]
from exabgp.bgp.message.open.capability import Capability  # type: ignore[import-untyped]
from exabgp.bgp.message.open.capability.negotiated import Negotiated  # type: ignore[import-untyped]
from exabgp.logger import log  # type: ignore[import-untyped]
from exabgp.protocol.family import AFI, SAFI  # type: ignore[import-untyped]
from exabgp.reactor.api.processes import Processes  # type: ignore[import-untyped]
from exabgp.reactor.delay import Delay  # type: ignore[import-untyped]
from exabgp.reactor.interrupt import Signal  # type: ignore[import-untyped]
from exabgp.reactor.loop import Reactor  # type: ignore[import-untyped]
from exabgp.reactor.network.incoming import Incoming  # type: ignore[import-untyped]
from exabgp.reactor.network.outgoing import Outgoing  # type: ignore[import-untyped]
from exabgp.reactor.peer import Peer
from exabgp.reactor.protocol import Protocol  # type: ignore[import-untyped]
from exabgp.rib.outgoing import OutgoingRIB  # type: ignore[import-untyped]

LONGEST_PAUSE = 15
"""The maximum number of seconds between two attempts to connect to a router: one that is back is soon connected."""
STEADY_SECONDS = 30
"""After a session that lasted this long, the next attempt is made at once."""
CONNECT_SECONDS = 20
"""Seconds after which an attempt to connect is given up, and repeated (RFC 4271 8.2.2, ConnectRetryTimer)."""
LOG_AGAIN_SECONDS = 600


def mend() -> None:
    """Replace ExaBGP's functions by those below."""
    Delay.__init__, Delay.reset, Delay.increase = _start_delay, _reset_delay, _increase_delay
    Outgoing.establish = _establish
    Protocol.connect = _telling_why(Protocol.connect)
    Peer._reset = _naming_the_exception(Peer._reset)
    Incoming.notification = _logging_strangers(Incoming.notification)
    exabgp.reactor.peer.format_exception = _in_one_line
    # Would report a message that ExaBGP itself refuses as the peer's NOTIFICATION, but has a wrong number of arguments:
    # the exception ended the session instead of the NOTIFICATION of RFC 4271 6.1.
    Processes.notification = lambda *_arguments: None
    OutgoingRIB._update_rib = _replacing_what_waits(OutgoingRIB._update_rib)
    # Would discard a reload while any route waits to be sent, also to a peer that is down.
    Reactor._pending_adjribout = lambda _reactor: False
    # Would put the markers of RFC 7313 around the routes even if they were not negotiated. OpenBGPD 7.7 takes these for
    # requests, also for families that were not negotiated, and its answer ends the session.
    Negotiated._negotiate = _implying_ipv4_unicast(Negotiated._negotiate)
    Reactor.neighbor_rib_resend = _sending_again_without_markers
    Signal._defer_or_schedule = _stopping_first(Signal._defer_or_schedule)


def _implying_ipv4_unicast(negotiate: Any) -> Any:
    """A session with a peer without the multiprotocol capability has no family: nothing would be sent to it.

    UPDATEs for IPv4 unicast need no capability (RFC 4271 4.3, RFC 4760 8).
    """

    def negotiated(self: Any) -> None:
        negotiate(self)
        code, implied = Capability.CODE.MULTIPROTOCOL, (AFI.ipv4, SAFI.unicast)
        ours = self.sent_open.capabilities.get(code, [])
        if implied in ours and not self.received_open.capabilities.announced(code):
            self.families = [implied]

    return negotiated


# --- pauses ---------------------------------------------------------------------------------------------------------


def _start_delay(self: Any) -> None:
    self._time, self._next, self._since = time.time(), 0, None


def _reset_delay(self: Any) -> None:
    """Continue without a pause: a session came up, or a connection came in."""
    self._time = self._since = time.time()


def _increase_delay(self: Any) -> None:
    """Wait longer than last time, unless the session has lasted for a while (RFC 4271 8.1, DampPeerOscillations)."""
    now = time.time()
    if self._since is not None and now - self._since >= STEADY_SECONDS:
        self._next = 0
    self._since = None
    self._time = now + self._next
    self._next = min(int(1 + self._next * 1.2), LONGEST_PAUSE)


def _establish(self: Any) -> Iterator[bool]:
    """Connect: yields False until it is done, then True."""
    pause = Delay()
    while True:
        problem = self._connect()
        deadline = time.time() + CONNECT_SECONDS
        while problem is None and not self.writing():
            yield False
            if time.time() > deadline:
                problem = os.strerror(errno.ETIMEDOUT)
        if problem is None:
            error = self.io.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error:
                self.success()
                self.local = self.local or self.io.getsockname()[0]
                yield True
                return
            problem = os.strerror(error)
        if self.io:
            self.io.close()
            self.io = None
        self.problem = _system_words(str(problem))
        pause.increase()
        while pause.backoff():
            yield False


def _system_words(text: str) -> str:
    """`Network is unreachable`, from ExaBGP's text for that with address, port and errno."""
    found = re.search(r"\[Errno \d+\] ([^()\[\]]+)", text)
    return found[1] if found else text


# --- words ----------------------------------------------------------------------------------------------------------


def _telling_why(connect: Any) -> Any:
    """Report why a router cannot be connected to as a `down`: once, when the reason changes, and from time to time."""

    def telling(self: Any) -> Iterator[bool]:
        for connected in connect(self):
            problem = getattr(self.connection, "problem", None)
            reported_problem, at = getattr(self.peer, "reported_problem", (None, 0))
            if problem and not connected and (problem != reported_problem or time.time() - at > LOG_AGAIN_SECONDS):
                self.peer.reported_problem = problem, time.time()
                self.peer.reactor.processes.down(self.peer.neighbor, f"no connection: {problem}")
            yield connected
        self.peer.reported_problem = None, 0

    return telling


def _naming_the_exception(reset: Any) -> Any:
    """Add the exception of ExaBGP that ended a session to its `down`, which is empty otherwise."""

    def naming(self: Any, message: str = "", error: Any = "") -> None:
        exception = sys.exc_info()[1]
        if not message and exception is not None and not isinstance(exception, Notification):
            message = f"ExaBGP failed: {type(exception).__name__}: {exception}"[:500]
        reset(self, message, error)

    return naming


def _in_one_line(exception: BaseException) -> str:
    """For the log, instead of 60 lines."""
    frames = traceback.extract_tb(exception.__traceback__)[-4:]
    where = ", ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames)  # noqa: PTH119
    return f"error: a session ends, ExaBGP failed: {type(exception).__name__}: {exception} ({where})"


def _logging_strangers(notification: Any) -> Any:
    """Log routers that are refused because they are not peers, which ExaBGP only does at its level DEBUG."""

    def logging(self: Any, code: int, subcode: int, message: str) -> Any:
        if (code, subcode) == (6, 3):
            log.warning(lambda: f"connection from {self.local} to {self.peer} refused: no such peer", "network")
        return notification(self, code, subcode, message)

    return logging


# --- signals --------------------------------------------------------------------------------------------------------


def _stopping_first(schedule: Any) -> Any:
    """Stop although a reload was requested a moment ago: a signal is ignored until the previous one is handled."""

    def scheduling(self: Any, action: int, number: int, name: str) -> None:
        if action == Signal.SHUTDOWN and self._ready:
            self.received = Signal.NONE
        schedule(self, action, number, name)

    return scheduling


# --- routes ---------------------------------------------------------------------------------------------------------


def _replacing_what_waits(queue: Any) -> Any:
    """Queue the last change of each route only, in the place of all of them, sorted by their attributes.

    What is announced and withdrawn before a session comes up was announced to the router: the first UPDATEs of a
    session leave withdrawals out.
    """

    def replacing(self: Any, change: Any) -> None:
        waiting = self._new_nlri.get(change.index())
        if waiting is not None:
            by_family = self._new_attr_af_nlri.get(waiting.attributes.index(), {})
            by_family.get(waiting.nlri.family().afi_safi(), {}).pop(change.index(), None)
        queue(self, change)

    return replacing


def _sending_again_without_markers(self: Any, name: str) -> None:
    """`flush adj-rib out`: send a peer all of our routes again."""
    if peer := self._peers.get(name):
        peer.resend(enhanced=False)


if __name__ == "__main__":
    mend()
    sys.exit(main())
