"""Against a model of ExaBGP: whatever is killed, the peers end up with the wanted routes (collector/acting)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collector.acting.book import Book, numbered
from collector.acting.command_scheduler import CommandBatch, CommandScheduler
from collector.acting.commands import command_text
from collector.acting.journal import Journal
from collector.acting.order_handler import OrderHandler
from collector.acting.relays import ListedPeer
from collector.acting.reports import is_same
from collector.acting.rules import Rules
from collector.errors import RefusedError
from collector.settings.announce import StaticSettings
from collector.settings.model import Settings
from schemas.announcements import RouteAnnouncement
from schemas.intents import ENDS, Intent, Order, StateName, Withdrawal
from schemas.journal import Record, StateRecord
from schemas.scalars import rfc3339

PEERS = ("192.0.2.1", "192.0.2.2")
ASNS = dict(zip(PEERS, (65001, 65002), strict=True))
PREFIXES = [f"203.0.113.{number}/32" for number in range(6)]
SETTINGS = Settings.model_validate(
    {
        "bgp": {"local_as": 65000, "router_id": "10.0.0.1"},
        "peers": [{"address": address, "asn": asn} for address, asn in ASNS.items()],
        "announce": {"prefixes": ["203.0.113.0/24 le 32"], "rate": 10_000},
    }
)


class Exabgp:
    """What ExaBGP 5.0.15 has been told, has still to send, and has sent (its rib/outgoing.py)."""

    def __init__(self) -> None:
        self.cache: dict[str, dict[str, str]] = {peer: {} for peer in PEERS}
        self.waiting: dict[str, list[tuple[str, str | None]]] = {peer: [] for peer in PEERS}
        self.table: dict[str, dict[str, str]] = {peer: {} for peer in PEERS}
        self.is_up = dict.fromkeys(PEERS, False)
        self.carries = dict.fromkeys(PEERS, True)
        """Whether the session has the family of PREFIXES."""
        self.unknown: set[str] = set()
        """Peers that are in its configuration no more, or not yet."""
        self.withdrawals = 0
        """How many it was told."""

    def families(self, peer: str) -> frozenset[str]:
        return frozenset({"ipv4 unicast" if self.carries[peer] else "ipv6 unicast"})

    def peers(self) -> dict[str, ListedPeer]:
        """Those that it knows, as it lists them."""
        return {
            peer: ListedPeer(is_up, self.families(peer))
            for peer, is_up in self.is_up.items()
            if peer not in self.unknown
        }

    def tell(self, peer: str, verb: str, nlri: str, text: str) -> None:
        if verb == "announce":
            if self.cache[peer].get(nlri) == text:
                return
            self.cache[peer][nlri] = text
        else:
            self.withdrawals += 1
            self.cache[peer].pop(nlri, None)
        self.waiting[peer].append((nlri, text if verb == "announce" else None))

    def send(self, peer: str) -> Iterator[tuple[str, str | None]]:
        """Send what waits, sorted by attributes and not in the order of the commands."""
        if not self.is_up[peer]:
            return
        last = sorted(self.waiting[peer], key=lambda one: one[1] or "")
        self.waiting[peer] = []
        for nlri, text in last if self.carries[peer] else ():
            if text is None:
                self.table[peer].pop(nlri, None)
            else:
                self.table[peer][nlri] = text
            yield nlri, text

    def up(self, peer: str, *, carries: bool = True) -> None:
        self.is_up[peer], self.carries[peer] = True, carries
        self.unknown.discard(peer)
        self.waiting[peer] = list(self.cache[peer].items())

    def down(self, peer: str) -> None:
        self.is_up[peer] = False
        self.waiting[peer], self.table[peer] = [], {}


class Bench:
    """The acting process without its sockets, and its ExaBGP."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, datetime(2026, 11, 27, tzinfo=UTC)
        self.set_back = timedelta()
        """How far the system's clock has been set back."""
        self.exabgp, self.is_new = Exabgp(), False
        self.commands: list[tuple[CommandBatch, bool | None]] = []
        """Each with its answer; None: ExaBGP has not read it."""
        self.lines: list[tuple[str, datetime, dict[str, object], list[str]]] = []
        self.begin()

    def begin(self) -> None:
        """Start a new acting process, which knows only what is in the journal."""
        self.journal = Journal(self.path)
        self.book = Book("here")
        for record in self.journal.take():
            self.book.apply(record)
        rules = Rules(SETTINGS, SETTINGS.announce)  # type: ignore[arg-type]  # it is there
        self.scheduler = CommandScheduler(self.book, rules.speakers, self.became, is_same, self.clock, self.wall)
        known = self.book, rules, SETTINGS.announce
        self.orders = OrderHandler(*known, self.record, self.scheduler.changed, self.scheduler.lacks)  # type: ignore[arg-type]
        self.commands.clear()
        self.scheduler.connected(0, self.exabgp.peers(), is_new=self.is_new, is_clean=False)
        self.is_new = False

    def clock(self) -> float:
        return self.now.timestamp()

    def wall(self) -> datetime:
        return self.now - self.set_back

    def record(self, records: Sequence[Record], *, durable: bool = True) -> list[int]:
        written = numbered(records, self.book.revision + 1, self.wall())
        self.journal.append(written, durable=durable)
        return [number for record in written for number in self.book.apply(record)]

    def became(
        self, state: StateName, peer: str, numbers: Sequence[int], ts: datetime | None, reason: str | None
    ) -> None:
        record = StateRecord(kind="state", state=state, peer=peer, numbers=list(numbers), reason=reason)
        self.record([{**record, "ts": rfc3339(ts or self.wall())}], durable=False)

    # --- what may happen, one at a time -------------------------------------------------------------------------------

    def order(self, chance: random.Random) -> None:
        prefixes = chance.sample(PREFIXES, chance.randint(1, 3))
        peers = tuple(chance.sample(PEERS, chance.randint(0, 2)))
        announcements = [RouteAnnouncement(prefix=prefix, med=chance.randint(1, 3)) for prefix in prefixes]
        self.orders.announce(Order(who="a", why="b", source="cli", announcements=tuple(announcements), peers=peers))

    def withdraw(self, chance: random.Random) -> None:
        withdrawal = Withdrawal(who="a", why="b", source="cli", prefixes=tuple(chance.sample(PREFIXES, 2)))
        self.orders.answer({"do": "withdraw", "withdrawal": withdrawal.model_dump(mode="json")})

    def pump(self, _chance: random.Random) -> None:
        self.commands += [(batch, None) for batch in self.scheduler.batches(0)]

    def take(self, _chance: random.Random) -> None:
        """ExaBGP reads a command, and answers."""
        for at, (batch, taken) in enumerate(self.commands):
            if taken is None:
                self.commands[at] = batch, self.tell(batch)
                return

    def tell(self, batch: CommandBatch) -> bool:
        """ExaBGP carries a command out at the peers that it knows; false if it knows none."""
        known = [peer for peer in batch.peers if peer not in self.exabgp.unknown]
        for peer in known:
            for item in batch.items:
                self.exabgp.tell(peer, batch.verb, item.nlri, batch.text)
        return bool(known)

    def answer(self, _chance: random.Random) -> None:
        if self.commands and self.commands[0][1] is not None:
            batch, is_done = self.commands.pop(0)
            self.scheduler.answered(batch, batch.items, is_done=is_done is True)

    def send(self, chance: random.Random) -> None:
        peer = chance.choice(PEERS)
        for nlri, text in self.exabgp.send(peer):
            announced: dict[str, object] = {}
            if text is not None:
                med = int(text.split("med ")[1].split()[0])
                announced = {nlri: {"next_hop": "192.0.2.254", "origin": "igp", "med": med}}
            self.lines.append((peer, self.wall(), announced, [] if announced else [nlri]))

    def hear(self, _chance: random.Random) -> None:
        if self.lines:
            self.scheduler.sent(*self.lines.pop(0))

    def up(self, chance: random.Random) -> None:
        peer = chance.choice(PEERS)
        if not self.exabgp.is_up[peer]:
            self.bring_up(chance, peer, carries=chance.random() < 0.7)

    def bring_up(self, chance: random.Random, peer: str, *, carries: bool = True) -> None:
        self.drain(chance)
        self.exabgp.up(peer, carries=carries)
        self.scheduler.opened(peer, self.exabgp.families(peer))
        self.scheduler.up(peer, 0)

    def down(self, chance: random.Random) -> None:
        self.take_down(chance, chance.choice(PEERS))

    def take_down(self, chance: random.Random, peer: str) -> None:
        if self.exabgp.is_up[peer]:
            self.drain(chance)
            self.exabgp.down(peer)
            self.scheduler.down(peer)

    def kill_us(self, chance: random.Random) -> None:
        """Kill the acting process and start another, which reads the spool."""
        for batch, taken in self.commands:
            if taken is None and chance.random() < 0.5:  # some commands were in the pipe, and are done
                self.tell(batch)
        self.journal.close()
        self.begin()

    def kill_exabgp(self, chance: random.Random) -> None:
        self.drain(chance)
        self.commands.clear()
        for peer in PEERS:
            if self.exabgp.is_up[peer]:
                self.scheduler.down(peer)
        self.exabgp = Exabgp()
        self.scheduler.connected(0, self.exabgp.peers(), is_new=True, is_clean=False)

    def replace_peer(self, chance: random.Random) -> None:
        """ExaBGP, reloaded, replaces a peer whose AS has changed, with all that it was told for it."""
        peer = chance.choice(PEERS)
        self.drain(chance)
        self.take_down(chance, peer)
        self.exabgp.cache[peer], self.exabgp.waiting[peer] = {}, []
        if chance.random() < 0.5:  # it takes a while, or the peer is not connected to meanwhile
            self.exabgp.unknown.add(peer)

    def drain(self, chance: random.Random) -> None:
        while self.lines:
            self.hear(chance)

    def settle(self, chance: random.Random) -> None:
        """Let everything finish, with all peers and processes up."""
        for peer in PEERS:
            if not self.exabgp.carries[peer]:
                self.take_down(chance, peer)
            if not self.exabgp.is_up[peer]:
                self.bring_up(chance, peer)
        self.run(chance)

    def run(self, chance: random.Random) -> None:
        """Let everything that has begun finish."""
        for _ in range(30):
            for act in (self.pump, self.take, self.take, self.answer, self.answer, self.send, self.send, self.drain):
                act(chance)
            self.now += timedelta(seconds=5)
            self.scheduler.check()
            for peer in self.scheduler.to_flush:
                self.exabgp.waiting[peer] += self.exabgp.cache[peer].items()
            self.scheduler.to_flush.clear()


def wanted(bench: Bench) -> dict[str, dict[str, str]]:
    return {
        peer: {
            nlri: command_text(bench.book.entries[number].announcement, bench.orders._rules.speakers[peer])
            for nlri, number in bench.book.wanted.get(peer, {}).items()
        }
        for peer in PEERS
    }


def assert_in_order(intent: Intent) -> None:
    """The states of an intent at each peer came in a possible order."""
    assert intent.states[0].state == "pending"
    for peer in intent.peers:
        states = [one for one in intent.states if one.peer == peer]
        names = [one.state for one in states]
        failures = [at for at, name in enumerate(names) if name == "failed"]
        for begin, end in pairwise((0, *failures, len(names))):  # after a failure it is accepted and sent once more
            part = states[begin:end]
            accepted = [one.ts for one in part if one.state == "accepted"]
            sent = [one.ts for one in part if one.state == "sent"]
            assert [intent.created, *accepted, *sent] == sorted([intent.created, *accepted, *sent]), intent.states
            assert accepted or not sent, intent.states
        ends = [at for at, name in enumerate(names) if name in ENDS]
        assert ends in ([], [len(names) - 1]), intent.states


@pytest.mark.parametrize("seed", range(40))
def test_the_peers_end_up_with_what_is_wanted(tmp_path: Path, seed: int) -> None:
    chance, bench = random.Random(seed), Bench(tmp_path / "acting.jsonl")
    often = [bench.order, bench.withdraw, bench.pump, bench.pump, bench.take, bench.take, bench.answer, bench.answer]
    often += [bench.send, bench.send, bench.hear, bench.hear, bench.hear]
    for _ in range(400):
        act = chance.choice(often) if chance.random() < 0.95 else None
        seldom = [bench.up, bench.up, bench.down, bench.kill_us, bench.kill_exabgp, bench.replace_peer]
        (act or chance.choice(seldom))(chance)
        bench.now += timedelta(milliseconds=50)
    bench.settle(chance)
    assert bench.exabgp.table == wanted(bench)
    assert not any(bench.book.unwanted.values())
    assert bench.book.current_count == sum(not entry.shown().is_over for entry in bench.book.entries.values())
    for entry in bench.book.entries.values():
        assert_in_order(entry.shown())
        assert {peer: entry.intent.asn_of(peer) for peer in entry.peers} == {peer: ASNS[peer] for peer in entry.peers}
        assert all(state == "sent" for state in entry.peers.values() if state not in ENDS), entry.shown()
    bench.journal.close()


@pytest.mark.parametrize("then", [2, 1, None])
def test_a_change_is_sent_at_once_while_the_update_before_it_is_unreported(tmp_path: Path, then: int | None) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    bench.now += timedelta(seconds=1)
    for peer in PEERS:
        bench.exabgp.up(peer)
        bench.scheduler.up(peer, 0)

    def run() -> None:
        for act in (bench.pump, bench.take, bench.answer, *[bench.send] * 9):
            act(chance)

    def order(med: int) -> None:
        announcements, key = RouteAnnouncement(prefix=PREFIXES[0], med=med), str(bench.book.next)
        bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(announcements,), key=key))

    order(1)
    run()
    if then is None:
        withdrawal = Withdrawal(who="a", why="b", source="cli", prefixes=(PREFIXES[0],))
        bench.orders.answer({"do": "withdraw", "withdrawal": withdrawal.model_dump(mode="json")})
    else:
        order(then)
    for _ in range(2):  # no time passes
        bench.drain(chance)
        run()
    bench.drain(chance)
    assert bench.exabgp.table == wanted(bench)
    assert not bench.scheduler.is_waiting
    last = list(bench.book.entries.values())[-1]
    assert set(last.peers.values()) == {"withdrawn" if then is None else "sent"}
    bench.journal.close()


def test_a_peer_that_exabgp_replaces_is_told_again(tmp_path: Path) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    for act in (bench.pump, bench.take, bench.answer):
        act(chance)
    bench.exabgp = Exabgp()  # replaced at both peers
    bench.settle(chance)
    assert bench.exabgp.table == wanted(bench)
    assert set(next(iter(bench.book.entries.values())).peers.values()) == {"sent"}
    bench.journal.close()


def test_a_peer_that_moves_to_another_exabgp_is_told_again(tmp_path: Path) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    for act in (bench.pump, bench.take, bench.answer):
        act(chance)
    assert bench.scheduler.batches(1) == []
    bench.scheduler.up(PEERS[0], 1)
    (batch,) = bench.scheduler.batches(1)
    assert (batch.verb, batch.peers, [item.nlri for item in batch.items]) == ("announce", PEERS[:1], [PREFIXES[0]])
    bench.journal.close()


def test_what_exabgp_does_not_send_is_ordered_until_it_does(tmp_path: Path) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    for peer in PEERS:
        bench.bring_up(chance, peer)
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    flushed = 0
    for _ in range(360):  # for half an hour it answers `done`, and loses it
        for act in (bench.pump, bench.take, bench.answer):
            act(chance)
        for peer in PEERS:
            bench.exabgp.cache[peer], bench.exabgp.waiting[peer] = {}, []
        bench.now += timedelta(seconds=5)
        bench.scheduler.check()
        flushed += len(bench.scheduler.to_flush)
        bench.scheduler.to_flush.clear()
    assert 10 < flushed < 25  # after 10, 20, 40 .. seconds, and then every five minutes
    for _ in range(2):
        bench.run(chance)
    assert bench.exabgp.table == wanted(bench)
    assert set(next(iter(bench.book.entries.values())).peers.values()) == {"sent"}
    bench.journal.close()


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_clock_that_is_set_back_makes_no_route_flap(tmp_path: Path, is_sent: bool) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    if is_sent:
        bench.settle(chance)
    bench.set_back = timedelta(hours=1)
    for _ in range(3):
        for peer in PEERS:
            bench.exabgp.down(peer)
            bench.scheduler.down(peer)
        bench.settle(chance)
    assert bench.exabgp.table == wanted(bench)
    assert bench.exabgp.withdrawals == 0
    assert set(next(iter(bench.book.entries.values())).peers.values()) == {"sent"}
    bench.journal.close()


def states_at(bench: Bench, peer: str) -> list[tuple[StateName, str | None]]:
    """The states of the only intent at a peer."""
    (entry,) = bench.book.entries.values()
    return [(one.state, one.reason) for one in entry.states if one.peer == peer]


NOT_NEGOTIATED = "its session has not negotiated ipv4 unicast; it will be sent in a session that has"


@pytest.mark.parametrize("is_up_first", [True, False])
def test_what_a_session_cannot_carry_is_reported_once_and_sent_in_one_that_can(
    tmp_path: Path, is_up_first: bool
) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    order = Order(who="a", why="b", source="cli", announcements=(RouteAnnouncement(prefix=PREFIXES[0], med=1),))
    if not is_up_first:
        bench.orders.announce(order)
        bench.run(chance)
    bench.bring_up(chance, PEERS[0], carries=False)
    bench.bring_up(chance, PEERS[1])
    if is_up_first:
        bench.orders.announce(order)
    bench.run(chance)
    before: list[tuple[StateName, str | None]] = [] if is_up_first else [("accepted", None)]
    assert states_at(bench, PEERS[0]) == [*before, ("failed", NOT_NEGOTIATED)]
    (entry,) = bench.book.entries.values()
    assert entry.shown().failures == {PEERS[0]: NOT_NEGOTIATED}
    assert not bench.scheduler.is_waiting  # for a report that would never come
    assert not bench.scheduler.to_flush

    bench.kill_us(chance)  # the next process asks ExaBGP
    bench.run(chance)
    assert states_at(bench, PEERS[0]) == [*before, ("failed", NOT_NEGOTIATED)]
    bench.take_down(chance, PEERS[0])
    bench.bring_up(chance, PEERS[0], carries=False)
    bench.run(chance)
    assert states_at(bench, PEERS[0]) == [*before, ("failed", NOT_NEGOTIATED)]

    bench.settle(chance)
    assert bench.exabgp.table == wanted(bench)
    expected = [*before, ("failed", NOT_NEGOTIATED), ("accepted", None), ("sent", None)]
    assert states_at(bench, PEERS[0]) == expected
    (entry,) = bench.book.entries.values()
    assert (entry.state, entry.shown().failures) == ("sent", {})
    bench.journal.close()


def test_the_withdrawal_of_what_a_session_cannot_carry_needs_no_report(tmp_path: Path) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    for peer in PEERS:
        bench.bring_up(chance, peer, carries=False)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    bench.run(chance)
    (entry,) = bench.book.entries.values()
    assert entry.state == "failed"
    withdrawal = Withdrawal(who="a", why="b", source="cli", prefixes=(PREFIXES[0],))
    bench.orders.answer({"do": "withdraw", "withdrawal": withdrawal.model_dump(mode="json")})
    for act in (bench.pump, bench.take, bench.answer):  # no time passes
        act(chance)
    assert (entry.state, [one.reason for one in entry.states[-2:]]) == ("withdrawn", [None, None])
    bench.settle(chance)
    assert bench.exabgp.table == {peer: {} for peer in PEERS}
    bench.journal.close()


@pytest.mark.parametrize("seconds", [4, 600])
def test_what_exabgp_refuses_during_a_reload_is_sent_after_it(tmp_path: Path, seconds: int) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    said = RouteAnnouncement(prefix=PREFIXES[0], med=1)
    bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
    bench.exabgp.unknown.update(PEERS)
    given = 0
    for _ in range(seconds * 4):
        bench.pump(chance)
        given += len(bench.commands)
        bench.take(chance)
        bench.answer(chance)
        bench.now += timedelta(seconds=0.25)
        bench.scheduler.check()
    assert given == {4: 3, 600: 15}[seconds]  # after 1, 2, 4 .. seconds, and then each minute
    (refused,) = states_at(bench, PEERS[0])
    assert refused[0] == "failed"
    assert "ExaBGP refuses the command" in str(refused[1])
    assert not bench.scheduler.is_waiting

    if seconds == 4:  # a session comes up
        bench.bring_up(chance, PEERS[0])
    else:  # the reload is over
        bench.exabgp.unknown.clear()
        bench.run(chance)
        assert [state for state, _ in states_at(bench, PEERS[0])] == ["failed", "accepted"]
        bench.bring_up(chance, PEERS[0])
    for act in (bench.pump, bench.take, bench.answer, *[bench.send] * 9, bench.drain):  # no time passes
        act(chance)
    assert bench.exabgp.table[PEERS[0]] == wanted(bench)[PEERS[0]]
    assert [state for state, _ in states_at(bench, PEERS[0])] == ["failed", "accepted", "sent"]
    bench.journal.close()


def test_a_change_of_what_exabgp_refuses_does_not_wait(tmp_path: Path) -> None:
    chance, bench = random.Random(1), Bench(tmp_path / "acting.jsonl")
    bench.exabgp.unknown.update(PEERS)
    for med in (1, 2):
        said = RouteAnnouncement(prefix=PREFIXES[0], med=med)
        bench.orders.announce(Order(who="a", why="b", source="cli", announcements=(said,)))
        bench.pump(chance)
        ((batch, _),) = bench.commands
        assert f"med {med}" in batch.text
        bench.take(chance)
        bench.answer(chance)
    bench.journal.close()


def test_a_static_route_that_is_refused_does_not_keep_others_from_being_announced(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "acting.jsonl")
    refused, good = (
        StaticSettings(prefix=prefix, why="always there", local_pref=local_pref)
        for prefix, local_pref in ((PREFIXES[0], 200), (PREFIXES[1], None))
    )
    bench.orders.announce_static((refused, good))
    assert [entry.announcement.prefix for entry in bench.book.entries.values()] == [PREFIXES[1]]
    (refusal,) = bench.book.refusals
    assert "LOCAL_PREF is only for peers in our own AS" in refusal.cause
    assert (refusal.who, refusal.why, refusal.source) == ("configuration", "always there", "configuration")
    bench.orders.announce_static((refused,))
    assert not bench.book.wanted[PEERS[0]]
    bench.journal.close()


def test_a_rewritten_journal_has_the_same_content(tmp_path: Path) -> None:
    chance, bench = random.Random(7), Bench(tmp_path / "acting.jsonl")
    for _ in range(100):
        chance.choice([bench.order, bench.withdraw, bench.pump, bench.take, bench.answer, bench.send, bench.hear])(
            chance
        )
    before = {number: entry.shown() for number, entry in bench.book.entries.items()}
    bench.journal.rewrite(bench.book.records(keep=bench.now - timedelta(days=1)))
    bench.journal.close()
    bench.begin()
    assert {number: entry.shown() for number, entry in bench.book.entries.items()} == before
    bench.journal.close()


def test_a_key_belongs_to_one_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "acting.jsonl")
    first, other = (
        Order(who="a", why="b", source="api", announcements=(RouteAnnouncement(prefix=PREFIXES[0], med=med),), key="k")
        for med in (1, 2)
    )
    assert bench.orders.announce(first) == bench.orders.announce(first) == [0]
    with pytest.raises(RefusedError, match="another order has already used this key"):
        bench.orders.announce(other)
    bench.journal.close()
