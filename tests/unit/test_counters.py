"""Whatever ExaBGP does with its counters: sessions, gaps and counts are those of a model of ExaBGP itself.

The model counts as exabgp/reactor/peer.py and protocol.py do: of each neighbour there is an object that a reload makes
anew; states are told of the newest one, the messages of a session of the one that it began with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import Gap, Session
from tests.support import Router

PEERS = ("192.0.2.1", "192.0.2.2", "2001:db8::3")


@dataclass
class _Object:
    """A neighbour object: how far it has counted, and which of those lines have arrived."""

    count: int = 0
    arrived: list[int] = field(default_factory=list)
    lost_by_receivers: set[int] = field(default_factory=set)


@dataclass
class _Neighbour:
    router: Router
    newest: _Object
    speaks: _Object
    """The one that the session began with."""
    up: bool = False
    objects: list[_Object] = field(default_factory=list)


@dataclass
class _Told:
    """A session as the model has it."""

    address: str
    updates: int = 0
    ended: bool = False


class Model:
    """An ExaBGP, its receiver, the archiver's tracker, and what the tracker should have said."""

    def __init__(self) -> None:
        self.tracker = SessionTracker(EXABGP, "test")
        self.line = 0
        self.pid, self.incarnation = 100, 1
        self.time = 1.8e9
        self.losing = self.reads_all = False
        self.neighbours: dict[str, _Neighbour] = {}
        self.gaps: list[Gap] = []
        self.sessions: dict[Any, Session] = {}
        self.told: list[_Told] = []
        self.all_objects: dict[str, list[_Object]] = {address: [] for address in PEERS}
        self.begin_exabgp()

    # --- what ExaBGP and its receiver do

    def begin_exabgp(self) -> None:
        self.neighbours = {}
        for number, address in enumerate(PEERS):
            new = _Object()
            self.all_objects[address].append(new)
            self.neighbours[address] = _Neighbour(Router(address, 64500 + number), new, new)
        self.marker("start")

    def marker(self, event: str) -> None:
        self.time += 1
        line = {"bgpledger": "receive", "event": event, "time": self.time, "pid": 9, "ppid": self.pid}
        self.take(json.dumps({**line, "incarnation": f"boot/{self.incarnation}"}).encode())

    def say(self, address: str, what: str, *, of: _Object) -> None:
        neighbour = self.neighbours[address]
        of.count += 1
        router = neighbour.router
        self.time += 0.25
        router.pid, router.counter, router.time = self.pid, of.count - 1, self.time - 0.25
        if what == "update":
            line = router.announce("10.0.0.0/8")
        elif what == "open":
            router.counter -= 1
            line = router.up()[1]
        else:
            line = router.keepalive() if what == "keepalive" else router.line("state", state=what)
        if self.losing:
            of.lost_by_receivers.add(of.count)
            return
        of.arrived.append(of.count)
        self.take(line)

    def take(self, line: bytes) -> None:
        message: Any = decode(line)
        assert not isinstance(message, Rejection), message
        self.tracker.follow(self.line, message)
        self.line += 1
        self.gaps += self.tracker.take_gaps()
        self.sessions.update((session.key, session) for session in self.tracker.take_changed())

    # --- what may happen

    def reload(self) -> None:
        for address, neighbour in self.neighbours.items():
            neighbour.newest = _Object()
            self.all_objects[address].append(neighbour.newest)

    def come(self, address: str, *, reload_between: bool) -> None:
        neighbour = self.neighbours[address]
        if neighbour.up:
            return
        neighbour.speaks = neighbour.newest
        for what in ("connected", "open", "keepalive"):
            self.say(address, what, of=neighbour.speaks)
        if reload_between:
            self.reload()
        self.say(address, "up", of=neighbour.newest)
        neighbour.up = True
        self.told.append(_Told(address))

    def go(self, address: str) -> None:
        neighbour = self.neighbours[address]
        if neighbour.up:
            self.say(address, "down", of=neighbour.newest)
            neighbour.up = False
            self.last(address).ended = True

    def refuse(self, address: str) -> None:
        """A connection that comes to nothing."""
        neighbour = self.neighbours[address]
        if not neighbour.up:
            self.say(address, "connected", of=neighbour.newest)
            self.say(address, "down", of=neighbour.newest)

    def speak(self, address: str, count: int) -> None:
        neighbour = self.neighbours[address]
        for _ in range(count if neighbour.up else 0):
            self.say(address, "update", of=neighbour.speaks)
            self.last(address).updates += not self.losing

    def lose(self, said: list[tuple[str, int]]) -> None:
        """A receiver dies with what peers say in its hands."""
        self.losing = True
        for address, count in said:
            self.speak(address, count)
        self.losing = False
        self.marker("start")

    def die(self, *, drained: bool, same_pid: bool) -> None:
        """ExaBGP ends without a word, and another one begins."""
        if drained:
            self.marker("end")
        self.pid += not same_pid
        self.incarnation += 1
        for told in self.told:
            told.ended = True
        self.begin_exabgp()

    def restart(self) -> None:
        self.tracker = SessionTracker(EXABGP, "test", (), json.loads(json.dumps(self.tracker.note())))

    def last(self, address: str) -> _Told:
        return [told for told in self.told if told.address == address][-1]

    # --- what has to be so

    def check(self) -> None:
        found = sorted(self.sessions.values(), key=lambda session: session.key)
        have = [(one.peer.address, one.updates, one.until is not None, one.began) for one in found]
        assert have == [(one.address, one.updates, one.ended, "up") for one in self.told]
        for address, objects in self.all_objects.items():
            knowable = sum(
                sum(number < max(one.arrived) for number in one.lost_by_receivers) for one in objects if one.arrived
            )
            own = [gap for gap in self.gaps if gap.peer and gap.peer.address == address]
            assert sum(gap.lines or 0 for gap in own) == knowable
            followed = [one for one in objects if one.lost_by_receivers and one not in self._speaking()]
            if any(max(one.lost_by_receivers) > max(one.arrived, default=0) for one in followed):
                assert any(gap.lines is None for gap in own), "lines are lost that nobody can count"
            for gap in own:
                assert gap.after is None or gap.after <= gap.ts

    def _speaking(self) -> list[_Object]:
        """Objects of which a line may still come, and tell what is lost."""
        return [one for neighbour in self.neighbours.values() for one in (neighbour.newest, neighbour.speaks)]


peer = st.sampled_from(PEERS)
event = st.one_of(
    st.tuples(st.just("come"), peer, st.booleans()),
    st.tuples(st.just("speak"), peer, st.integers(1, 4)),
    st.tuples(st.just("go"), peer),
    st.tuples(st.just("refuse"), peer),
    st.tuples(st.just("reload")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("lose"), st.lists(st.tuples(peer, st.integers(1, 4)), max_size=3)),
    st.tuples(st.just("die"), st.booleans(), st.booleans()),
)


def play(events: list[Any], model: Model | None = None) -> Model:
    model = model or Model()
    for name, *how in events:
        if name == "come":
            model.come(how[0], reload_between=how[1])
        elif name == "die":
            model.die(drained=how[0], same_pid=how[1])
        else:
            getattr(model, name)(*how)
        model.check()
    return model


@settings(max_examples=300, deadline=None)
@given(st.lists(event, max_size=25))
def test_any_interleaving_is_told_as_it_was(events: list[Any]) -> None:
    play(events)


@settings(max_examples=100, deadline=None)
@given(st.lists(event.filter(lambda one: one[0] not in {"lose", "die"}), max_size=25))
def test_nothing_but_a_loss_is_a_gap(events: list[Any]) -> None:
    assert play(events).gaps == []


def test_the_story_of_a_peer_that_is_added() -> None:
    """Two are up, one goes, a third is added (a reload), the first comes again: the second's session stands."""
    one, two, _ = PEERS
    events = [("come", one, False), ("come", two, False), ("speak", two, 2), ("go", one), ("reload",)]
    model = play([*events, ("come", one, False), ("speak", two, 3), ("go", two), ("come", two, False)])
    assert model.gaps == []
    assert datetime.fromtimestamp(model.time).year == 2027  # noqa: DTZ006
