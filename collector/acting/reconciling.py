"""Compares what ExaBGP has sent with what is wanted, and corrects what is missing or different."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from collector.acting.adj_rib_out import AdjRibOut, CommandInFlight
from collector.acting.commands import Announced
from collector.acting.policy import towards
from collector.acting.speakers import Speaker
from schemas.scalars import to_milliseconds

_log = logging.getLogger(__name__)

_REPORT_SECONDS = 10.0
"""Seconds that ExaBGP has to report an UPDATE to a peer that is up; after that it is asked to send it again."""
_ROUTES_A_SECOND = 500
"""Many routes get more time, at this rate."""
_LONGEST_REPORT_SECONDS = 300.0
"""The maximum of these, after repeated requests."""
_MOST_WITHDRAWALS = 3
"""A withdrawal that is not reported is repeated up to this many times; an announcement for as long as it is wanted."""
_MISMATCH_SECONDS = 2.0
"""Seconds after which a wrong UPDATE is corrected: another UPDATE may be on its way."""

SameRoute = Callable[[Announced, object], bool]
"""Whether a sent route, with its attributes, belongs to this announcement."""


class Reconciler:
    """Compares only what ExaBGP itself reports as sent.

    Args:
        peers: by their addresses.
        same: see `SameRoute`.
        clock: a monotonic clock, in seconds.
        now: the time.
    """

    def __init__(
        self,
        peers: Mapping[str, AdjRibOut],
        same: SameRoute,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._peers, self._same, self._clock, self._now = peers, same, clock, now
        self.to_flush: set[str] = set()
        """Peers to which everything is to be resent."""

    def deadline(self, routes: int, tries: int = 0) -> float:
        """When this number of routes should have been sent; later after each try without a report."""
        seconds = min(_REPORT_SECONDS * 2.0 ** min(tries, 10), _LONGEST_REPORT_SECONDS)
        return self._clock() + seconds + routes / _ROUTES_A_SECOND

    def sent(self, address: str, ts: datetime, announced: Mapping[str, object], withdrawn: Sequence[str]) -> None:
        """See `CommandScheduler.sent`."""
        if (peer := self._peers.get(address)) is None:
            return
        intents = [self._match(peer, nlri, route, ts) for nlri, route in announced.items()]
        if numbers := [number for number in intents if number is not None]:
            peer.accepted(numbers, ts)  # although its answer may come later
            peer.note("sent", numbers, ts, None)
        wanted = peer.wanted
        confirmed = []
        for nlri in withdrawn:
            command = peer.in_flight.get(nlri)
            peer.sent.pop(nlri, None)
            if command and command.number is None and ts >= to_milliseconds(command.since):
                confirmed.append(nlri)
                _mark_sent(peer, nlri, command)
            self._note_mismatch(peer, nlri, is_right=nlri not in wanted)
        peer.withdrawn(confirmed, ts, None)

    def _match(self, peer: AdjRibOut, nlri: str, route: object, ts: datetime) -> int | None:
        """The intent that an announcement belongs to: the one in flight, or else the one that is wanted."""
        command, wanted = peer.in_flight.get(nlri), peer.wanted.get(nlri)
        in_flight = command.number if command else None
        number = next((one for one in (in_flight, wanted) if self._is_of(peer, one, route, ts)), None)
        self._note_mismatch(peer, nlri, is_right=number is not None and self._is_of(peer, wanted, route, ts))
        if number is None:
            return None
        peer.sent[nlri] = ts
        if command and number == in_flight:
            _mark_sent(peer, nlri, command)
        return number

    def _is_of(self, peer: AdjRibOut, number: int | None, route: object, ts: datetime) -> bool:
        entry = None if number is None else peer.book.entries.get(number)
        # What was sent before the order is not its result; if that is in the future, the clock has been set back.
        if entry is None or ts < entry.intent.created <= self._now():
            return False
        return self._same(_after_policy(entry.announcement, peer.speaker), route)

    def _note_mismatch(self, peer: AdjRibOut, nlri: str, *, is_right: bool) -> None:
        if is_right:
            peer.mismatches.pop(nlri, None)
        else:
            peer.mismatches.setdefault(nlri, self._clock())

    def check(self) -> None:
        """Request again what should have been sent by now."""
        now = self._clock()
        for address, peer in self._peers.items():
            late = [nlri for nlri, command in peer.in_flight.items() if command.is_done and command.deadline <= now]
            for nlri in [one for one in late if peer.in_flight[one].is_refused]:
                peer.finish(nlri)
            self._request_again(address, peer, [nlri for nlri in late if nlri in peer.in_flight])
            for nlri in [one for one, since in peer.mismatches.items() if since + _MISMATCH_SECONDS <= now]:
                if nlri not in peer.in_flight and nlri not in peer.dirty:
                    del peer.mismatches[nlri]
                    _order_again(peer, nlri)

    def _request_again(self, address: str, peer: AdjRibOut, late: Sequence[str]) -> None:
        given_up: list[str] = []
        for nlri in late:
            command = peer.in_flight[nlri]
            peer.tries[nlri] = peer.tries.get(nlri, 0) + 1
            if command.number is None and peer.tries[nlri] >= _MOST_WITHDRAWALS:
                given_up.append(nlri)
            elif command.number is None:
                peer.dirty[nlri] = None
            else:
                # If ExaBGP has the route, it sends it again; if a reload replaced the peer, it has to be told again.
                self.to_flush.add(address)
                peer.acknowledged.pop(nlri, None)
            peer.finish(nlri)
        if late:
            _log.warning("ExaBGP has not reported sending %d routes to %s", len(late), address)
        peer.withdrawn(given_up, None, "ExaBGP took note; it did not say that it sent it")


def _mark_sent(peer: AdjRibOut, nlri: str, command: CommandInFlight) -> None:
    command.is_sent = True
    if command.is_done:
        peer.finish(nlri)


def _order_again(peer: AdjRibOut, nlri: str) -> None:
    if peer.is_up:
        _log.warning("ExaBGP did not announce to %s as ordered: %s; ordered again", peer.speaker.address, nlri)
        peer.stray.add(nlri)
        peer.dirty[nlri] = None


def _after_policy(announcement: Announced, speaker: Speaker) -> Announced:
    """What a peer is sent after its policy."""
    return towards(announcement, speaker).announcement or announcement
