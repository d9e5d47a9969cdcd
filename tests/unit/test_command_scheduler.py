"""Against a model of ExaBGP: whatever is killed, the peers end up with the wanted routes (collector/acting)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.acting.book import Book, numbered
from collector.acting.command_scheduler import CommandBatch, CommandScheduler
from collector.acting.commands import command_text
from collector.acting.journal import Journal
from collector.acting.order_handler import OrderHandler
from collector.acting.reports import is_same
from collector.acting.rules import Rules
from collector.errors import RefusedError
from collector.settings import Settings
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
        self.withdrawals = 0
        """How many it was told."""

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
        for nlri, text in last:
            if text is None:
                self.table[peer].pop(nlri, None)
            else:
                self.table[peer][nlri] = text
            yield nlri, text

    def up(self, peer: str) -> None:
        self.is_up[peer] = True
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
        self.commands: list[tuple[CommandBatch, bool]] = []
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
        self.orders = OrderHandler(self.book, rules, SETTINGS.announce, self.record, self.scheduler.changed)  # type: ignore[arg-type]
        self.commands.clear()
        self.scheduler.connected(0, self.exabgp.is_up, is_new=self.is_new, is_clean=False)
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
        self.commands += [(batch, False) for batch in self.scheduler.batches(0)]

    def take(self, _chance: random.Random) -> None:
        """ExaBGP reads a command, and answers."""
        for at, (batch, taken) in enumerate(self.commands):
            if not taken:
                for peer in batch.peers:
                    for item in batch.items:
                        self.exabgp.tell(peer, batch.verb, item.nlri, batch.text)
                self.commands[at] = batch, True
                return

    def answer(self, _chance: random.Random) -> None:
        if self.commands and self.commands[0][1]:
            batch, _ = self.commands.pop(0)
            self.scheduler.answered(batch, batch.items, is_done=True)

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
            self.drain(chance)
            self.exabgp.up(peer)
            self.scheduler.up(peer, 0)

    def down(self, chance: random.Random) -> None:
        peer = chance.choice(PEERS)
        if self.exabgp.is_up[peer]:
            self.drain(chance)
            self.exabgp.down(peer)
            self.scheduler.down(peer)

    def kill_us(self, chance: random.Random) -> None:
        """Kill the acting process and start another, which reads the spool."""
        for batch, taken in self.commands:
            if not taken and chance.random() < 0.5:  # some commands were in the pipe, and are done
                for peer in batch.peers:
                    for item in batch.items:
                        self.exabgp.tell(peer, batch.verb, item.nlri, batch.text)
        self.journal.close()
        self.begin()

    def kill_exabgp(self, chance: random.Random) -> None:
        self.drain(chance)
        self.commands.clear()
        for peer in PEERS:
            if self.exabgp.is_up[peer]:
                self.scheduler.down(peer)
        self.exabgp = Exabgp()
        self.scheduler.connected(0, self.exabgp.is_up, is_new=True, is_clean=False)

    def replace_peer(self, chance: random.Random) -> None:
        """ExaBGP, reloaded, replaces a peer whose AS has changed, with all that it was told for it."""
        peer = chance.choice(PEERS)
        self.drain(chance)
        if self.exabgp.is_up[peer]:
            self.exabgp.down(peer)
            self.scheduler.down(peer)
        self.exabgp.cache[peer], self.exabgp.waiting[peer] = {}, []

    def drain(self, chance: random.Random) -> None:
        while self.lines:
            self.hear(chance)

    def settle(self, chance: random.Random) -> None:
        """Let everything finish, with all peers and processes up."""
        for peer in PEERS:
            if not self.exabgp.is_up[peer]:
                self.drain(chance)
                self.exabgp.up(peer)
                self.scheduler.up(peer, 0)
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
        accepted = [one.ts for one in states if one.state == "accepted"]
        sent = [one.ts for one in states if one.state == "sent"]
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
    with pytest.raises(RefusedError, match="another order has already used the key"):
        bench.orders.announce(other)
    bench.journal.close()
