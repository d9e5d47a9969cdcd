"""ExaBGP's lines as its counters see them, for tests of what is found lost ahead of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.sources.exabgp.counting import Counting
from collector.sources.source import Effect
from schemas.message import ClockSet, Counted, Dropped, ExabgpProcess, ReceiverEnd, ReceiverStart, Reload, Shutdown
from schemas.peer import Peer

ONE, TWO = "192.0.2.1", "192.0.2.2"
RANGE, IN_RANGE = "198.51.100.0/24", "198.51.100.1"
BEGIN = datetime(2026, 11, 27, tzinfo=UTC)
PIPE = 10485
"""Lines that are lost with a receiver at most."""

Lost = list[tuple[int | None, str]]


class Lines:
    """The lines of one spool, each a second after the one before."""

    def __init__(self, note: Mapping[str, Any] | None = None) -> None:
        self.counting = Counting([RANGE], note or {})
        self.number = 0
        self.reloads = 0
        self.effect = Effect()
        if note is None:
            self.receiver_starts()

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.number)

    def says(self, kind: str | None, count: int, peer: str = ONE, *, pid: int = 100) -> Lost:
        """What is found lost ahead of a line: the numbers, and why."""
        return self._took(
            self.counting.count(self.number, self.now, Counted(Peer(address=peer, asn=64500), pid, count, kind))
        )

    def all_say(self, kind: str, first: int, last: int, peer: str = ONE) -> None:
        """Lines that go on one by one."""
        for count in range(first, last + 1):
            assert self.says(kind, count, peer) == []

    def _took(self, effect: Effect) -> Lost:
        self.effect, self.number = effect, self.number + 1
        return [(loss.records, loss.cause) for loss in effect.losses]

    def _event(self, model: Any, **facts: Any) -> Lost:
        message = model(ts=self.now, **facts)
        return self._took(self.counting.event(self.number, self.now, message))

    def receiver_starts(self, pid: int = 100, incarnation: str | None = "boot/1", *, counts: bool = True) -> Lost:
        facts = {"incarnation": incarnation, "reloads": self.reloads if counts else None}
        return self._event(ReceiverStart, source=ExabgpProcess(pid), helper_pid=9, **facts)

    def receiver_ends(self) -> Lost:
        return self._event(ReceiverEnd, source=ExabgpProcess(100), helper_pid=9)

    def reloads_once(self) -> Lost:
        self.reloads += 1
        return self._event(Reload, source=ExabgpProcess(100), helper_pid=9, reloads=self.reloads)

    def drops(self, lines: int, *, since: datetime | None = None) -> Lost:
        facts = {"since": since or self.now, "lines": lines, "bytes": 1, "reason": "No space left on device"}
        return self._event(Dropped, source=ExabgpProcess(100), helper_pid=9, **facts)

    def clock_is_set(self) -> Lost:
        return self._event(ClockSet, source=ExabgpProcess(100), helper_pid=9, step=1.5)

    def shuts_down(self) -> Lost:
        return self._event(Shutdown, source=ExabgpProcess(100))

    def two_objects(self, peer: str = ONE) -> None:
        """A's session comes up while ExaBGP reloads: A has said 3 lines, B 1."""
        self.all_say("connected", 1, 1, peer)
        self.all_say("open", 2, 2, peer)
        self.all_say("keepalive", 3, 3, peer)
        self.reloads_once()
        assert self.says("up", 1, peer) == []
        assert (self.effect.ended, self.effect.resumed) == (None, None)

    def restarts(self) -> None:
        """The archiver begins anew behind what it noted."""
        self.counting = Counting([RANGE], self.counting.note())
