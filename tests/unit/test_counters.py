"""Whatever ExaBGP does with its counters: sessions, gaps and counts are those of a model of ExaBGP itself.

The model counts as exabgp/reactor/peer.py and protocol.py do: of each neighbour there is an object that a reload makes
anew; states are told of the newest one, the messages of a session of the one that it began with. Peers of a range share
its object, and a reload ends their sessions (reactor/loop.py, reactor/listener.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.archive.session_tracker import SessionTracker
from collector.sources.exabgp.decode import decode
from collector.sources.exabgp.source import EXABGP
from collector.sources.source import Rejection
from schemas.documents import Gap, Session
from tests.support import Router

PEERS = ("192.0.2.1", "192.0.2.2", "2001:db8::3")
RANGE = "198.51.100.0/24"
OF_RANGE = ("198.51.100.1", "198.51.100.2")


def counted_as(address: str) -> str:
    return RANGE if address in OF_RANGE else address


@dataclass
class _Object:
    """A neighbour object: its counter, and which of the counted lines have arrived."""

    exabgp: int
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
    connecting: bool = False


@dataclass
class _Told:
    """A session in the model."""

    address: str
    updates: int = 0
    ended: bool = False
    began: str = "up"
    gaps: int | None = None
    """How many there were when it was said to be down, though it goes on."""


class Model:
    """An ExaBGP, its receiver, the archiver's tracker, and what the tracker should have found."""

    def __init__(self) -> None:
        self.tracker = SessionTracker(EXABGP, "test", (RANGE,))
        self.line = 0
        self.pid, self.incarnation = 100, 1
        self.time = 1.8e9
        self.losing = False
        self.reloads = 0
        self.knows_sessions = True
        """Whether all that was said of begins and ends of sessions has arrived."""
        self.neighbours: dict[str, _Neighbour] = {}
        self.gaps: list[Gap] = []
        self.sessions: dict[Any, Session] = {}
        self.told: list[_Told] = []
        self.all_objects: dict[str, list[_Object]] = {counted_as(address): [] for address in PEERS + OF_RANGE}
        self.reloaded = self.lost = False
        """Whether ExaBGP reloaded, or a receiver died, in this ExaBGP's life."""
        self.begin_exabgp()

    # --- what ExaBGP and its receiver do

    def begin_exabgp(self) -> None:
        self.neighbours, self.reloaded, self.lost = {}, False, False
        new = self.new_objects()
        for number, address in enumerate(PEERS + OF_RANGE):
            one = new[counted_as(address)]
            self.neighbours[address] = _Neighbour(Router(address, 64500 + number), one, one)
        self.marker("start")

    def new_objects(self) -> dict[str, _Object]:
        new = {name: _Object(self.incarnation) for name in self.all_objects}
        for name, one in new.items():
            self.all_objects[name].append(one)
        return new

    def marker(self, event: str) -> None:
        self.time += 1
        line = {"bgpledger": "receive", "event": event, "time": self.time, "pid": 9, "ppid": self.pid}
        self.take(json.dumps({**line, "incarnation": f"boot/{self.incarnation}", "reloads": self.reloads}).encode())

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
            self.knows_sessions &= what in ("update", "keepalive")
            return
        lost = of.count - 1 - max(of.arrived, default=0)
        of.arrived.append(of.count)
        found = self.take(line)
        self.check_gaps(counted_as(address), lost, found)
        if what == "update":
            self.speaks(self.last(address), len(self.gaps) - sum(gap.cause == "session" for gap in found))

    def speaks(self, told: _Told, gaps: int) -> None:
        """It has printed a message: a session reported as down goes on, or is not known to be the same."""
        if told.gaps is not None and gaps == told.gaps:
            told.ended = False
        elif told.gaps is not None:
            told = _Told(told.address, began="seen")
            self.told.append(told)
        told.gaps = None
        told.updates += 1

    def take(self, line: bytes) -> list[Gap]:
        message: Any = decode(line)
        assert not isinstance(message, Rejection), message
        self.tracker.follow(self.line, message)
        self.line += 1
        found = list(self.tracker.take_gaps())
        self.gaps += found
        self.sessions.update((session.key, session) for session in self.tracker.take_changed())
        return found

    # --- what may happen

    def reload(self, *, by_hand: bool = False) -> None:
        if not by_hand:
            self.reloads, self.reloaded = self.reloads + 1, True
            if not self.losing:
                self.marker("reload")
        for address in OF_RANGE:
            if self.neighbours[address].up or self.neighbours[address].connecting:
                self.ends(address)
        new = self.new_objects()
        for address, neighbour in self.neighbours.items():
            neighbour.newest = new[counted_as(address)]

    def reload_by_hand(self) -> None:
        """Reload ExaBGP without telling our receiver."""
        self.reload(by_hand=True)

    def come(self, address: str, *, reload_between: bool) -> None:
        neighbour = self.neighbours[address]
        if neighbour.up:
            return
        neighbour.speaks = neighbour.newest
        for what in ("connected", "open", "keepalive"):
            self.say(address, what, of=neighbour.speaks)
        neighbour.connecting = True
        if reload_between:
            self.reload()
        if neighbour.connecting:
            self.say(address, "up", of=neighbour.newest)
            neighbour.up, neighbour.connecting = True, False
            self.told.append(_Told(address))

    def go(self, address: str) -> None:
        neighbour = self.neighbours[address]
        if neighbour.up:
            self.ends(address)

    def ends(self, address: str) -> None:
        neighbour = self.neighbours[address]
        self.say(address, "down", of=neighbour.newest)
        if neighbour.up:
            self.last(address).ended, self.last(address).gaps = True, None
        neighbour.up = neighbour.connecting = False

    def bogus(self, address: str) -> None:
        """A session is reported as down, and goes on."""
        if self.neighbours[address].up:
            self.say(address, "down", of=self.neighbours[address].newest)
            told = self.last(address)
            if not told.ended and not self.losing:
                told.ended, told.gaps = True, len(self.gaps)

    def refuse(self, address: str) -> None:
        """A connection is refused."""
        neighbour = self.neighbours[address]
        if not neighbour.up:
            self.say(address, "connected", of=neighbour.newest)
            self.say(address, "down", of=neighbour.newest)

    def speak(self, address: str, count: int) -> None:
        neighbour = self.neighbours[address]
        for _ in range(count if neighbour.up else 0):
            self.say(address, "update", of=neighbour.speaks)

    def lose(self, said: list[Any]) -> None:
        """A receiver dies before it has written lines that it had read."""
        self.losing = True
        for name, *how in said:
            if name == "come":
                self.come(how[0], reload_between=how[1])
            else:
                getattr(self, name)(*how)
        self.losing, self.lost = False, True
        self.marker("start")

    def die(self, *, drained: bool, same_pid: bool) -> None:
        """ExaBGP ends without a word, and another one begins."""
        if drained:
            self.marker("end")
        self.pid += not same_pid
        self.incarnation += 1
        for told in self.told:
            told.ended, told.gaps = True, None
        self.begin_exabgp()

    def restart(self) -> None:
        self.tracker = SessionTracker(EXABGP, "test", (RANGE,), json.loads(json.dumps(self.tracker.note())))

    def last(self, address: str) -> _Told:
        return [told for told in self.told if told.address == address][-1]

    # --- what must hold

    def check(self) -> None:
        found = sorted(self.sessions.values(), key=lambda session: session.key)
        have = [(one.peer.address, one.updates, one.until is not None, one.began) for one in found]
        if self.knows_sessions:
            assert have == [(one.address, one.updates, one.ended, one.began) for one in self.told]
        for gap in self.gaps:
            assert gap.after is None or gap.after <= gap.ts

    def check_gaps(self, name: str, lost: int, found: list[Gap]) -> None:
        """The gap that a line reveals, before which so many lines of its object were lost."""
        own = [gap for gap in found if gap.peer and gap.peer.address == name and gap.cause == "pipe"]
        numbers = [gap.lines for gap in own if gap.lines is not None]
        assert numbers in ([], [lost])
        assert 0 not in numbers
        if lost and not numbers:
            assert own, "lines are lost"
        if len(own) > len(numbers):
            assert self.lost
            assert self.reloaded, "how many are lost can be known"

    def settle(self) -> None:
        """Let each peer begin another session: by then every loss has been reported."""
        for address in self.neighbours:
            self.go(address)
            self.come(address, reload_between=False)
            self.speak(address, 1)
        self.check()
        for name, objects in self.all_objects.items():
            own = [gap for gap in self.gaps if gap.peer and gap.peer.address == name]
            known = set()
            for one in objects:
                if one.arrived:
                    known.add(one.exabgp)  # nothing is known to be missing of a peer that never sent anything
                if one.exabgp in known and max(one.lost_by_receivers, default=0) > max(one.arrived, default=0):
                    assert any(gap.lines is None for gap in own), "lines are lost that nobody can count"


LOSSES = frozenset(("lose", "die"))


def events(of: Sequence[str], *, without: Set[str] = frozenset()) -> st.SearchStrategy[list[Any]]:
    """What may happen to these peers."""
    peer = st.sampled_from(of)
    spoken = st.tuples(st.just("speak"), peer, st.integers(1, 5))
    said = st.one_of(
        spoken,
        st.tuples(st.just("come"), peer, st.booleans()),
        st.tuples(st.just("go"), peer),
        st.tuples(st.just("refuse"), peer),
        st.tuples(st.just("reload")),
    )
    event = st.one_of(
        said,
        st.tuples(st.just("bogus"), peer),
        st.tuples(st.just("restart")),
        st.tuples(st.just("reload_by_hand")),
        st.tuples(st.just("lose"), st.lists(spoken, max_size=3)),
        st.tuples(st.just("lose"), st.lists(said, max_size=6)),
        st.tuples(st.just("die"), st.booleans(), st.booleans()),
    )
    return st.lists(event.filter(lambda one: one[0] not in without), max_size=25)


some_peers = st.sampled_from((PEERS[:1], PEERS[:1], OF_RANGE[:1], PEERS + OF_RANGE))
"""Mostly one: what is said of the others comes seldom between."""


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
    model.settle()
    return model


@example([("lose", [("come", PEERS[0], True)]), ("reload",), ("bogus", PEERS[0]), ("speak", PEERS[0], 1)])
@settings(max_examples=4 * settings().max_examples)
@given(some_peers.flatmap(lambda some: events(some, without={"reload_by_hand"})))
def test_any_interleaving_gives_the_sessions_and_gaps_of_the_model(events: list[Any]) -> None:
    play(events)


@given(events(PEERS + OF_RANGE, without={*LOSSES, "bogus"}))
def test_nothing_but_a_loss_is_a_gap(events: list[Any]) -> None:
    assert play(events).gaps == []


@pytest.mark.parametrize(
    ("address", "before", "behind"),
    [(PEERS[0], 1, 5), (PEERS[0], 3, 2), (OF_RANGE[0], 1, 5), (OF_RANGE[0], 1, 2)],
    ids=["jumps", "seems to go on", "of a range jumps", "of a range seems to go on"],
)
@pytest.mark.parametrize("restarts", [True, False])
def test_a_count_that_has_passed_the_old_one_after_a_reload(
    address: str, before: int, behind: int, restarts: bool
) -> None:
    """Everything in between is lost: the end of a session, and the beginning of another."""
    events = [("come", address, False), ("speak", address, before), ("reload",)]
    if restarts:
        events.append(("restart",))
    model = play([*events, ("lose", [("go", address), ("come", address, False), ("speak", address, behind)])])
    assert [gap.lines for gap in model.gaps if gap.cause == "pipe"][:1] == [None]


def test_the_number_lost_is_known_if_a_new_count_cannot_have_come_so_far() -> None:
    one = PEERS[0]
    events = [("come", one, False), ("speak", one, 11_000), ("reload",), ("lose", [("speak", one, 3)])]
    assert [gap.lines for gap in play([*events, ("speak", one, 1)]).gaps][:1] == [3]


def test_adding_a_peer_by_a_reload_ends_no_other_session() -> None:
    """Two are up, one goes down, a reload adds a third, the first comes up again: the session of the second goes on."""
    one, two, _ = PEERS
    events = [("come", one, False), ("come", two, False), ("speak", two, 2), ("go", one), ("reload",)]
    model = play([*events, ("come", one, False), ("speak", two, 3), ("go", two), ("come", two, False)])
    assert model.gaps == []
    assert datetime.fromtimestamp(model.time).year == 2027  # noqa: DTZ006
