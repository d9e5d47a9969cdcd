"""`search`, `history` with filters, `tail` and `top`, over what the archiver stored."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.archive.archiver import Archiver
from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.newest import newest_of
from collector.query.routes import LastRoutes
from collector.query.search import count_updates, search
from collector.query.search_newest import search_newest
from collector.query.tail import tail
from collector.query.top import TopTally, top
from collector.sources.exabgp.source import EXABGP
from collector.spool.identity import spool_identity
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from collector.store.traits import Traits
from collector.tasks import end
from schemas.peer import Peer
from schemas.query import HistoryEntry
from tests.support import Router, until

T0 = datetime.fromtimestamp(1.8e9, UTC)
PREFIX = "203.0.113.0/24"
PREFIXES = [PREFIX, "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "2001:db8:1::/48"]
PATHS = [(64500,), (64500, 64496), (64500, 64499, 64496), (64501, 64511)]
COMMUNITIES = [[64500, 1], [64500, 2], [64511, 666]]
NEXT_HOPS = ["192.0.2.1", "192.0.2.7", "2001:db8::1"]


@pytest.fixture
async def store(embedded_uri: str, database: str) -> AsyncIterator[Store]:
    """One driver is enough: other tests compare the drivers."""
    async with Store.open(embedded_uri, database=database) as opened:
        await opened.prepare()
        yield opened


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


async def archive(
    data_dir: Path, store: Store, lines: Sequence[bytes], name: str = "test", *, says_how_far: bool = False
) -> None:
    """Archive lines; with `says_how_far`, the store has the line up to which everything is stored, as it should."""
    spool = data_dir / name
    with SpoolWriter(spool) as writer:
        writer.write(b"".join(line + b"\n" for line in lines))
    reader = SpoolReader(spool)
    own = spool_identity(spool) if says_how_far else None
    archiver = Archiver(reader, store, source=EXABGP, collector=name, spool=own)
    archiver.stop()
    await archiver.run()
    reader.close()


async def found(store: Store, filters: Filter | None = None, **options: Any) -> list[HistoryEntry]:
    return [entry async for entry in search(store, filters or Filter(), **options)]


def some_day(seed: int, steps: int = 120) -> list[bytes]:
    """A day of three routers: announcements with all kinds of attributes, withdrawals, sessions that end and begin."""
    chance = random.Random(seed)
    routers = [Router("192.0.2.1", 64500), Router("192.0.2.2", 64500), Router("2001:db8::3", 64501)]
    lines = [line for router in routers for line in router.up()]
    for _ in range(steps):
        router = chance.choice(routers)
        router.time = max(one.time for one in routers)
        kind = chance.random()
        prefixes = chance.sample(PREFIXES[:3] if chance.random() < 0.7 else PREFIXES[3:], k=chance.randint(1, 2))
        if kind < 0.05:
            lines += [router.down("peer reset"), *router.up()]
        elif kind < 0.35:
            lines.append(router.withdraw(*prefixes))
        elif kind < 0.37:
            router.counter += 3  # lines that never came
        else:
            lines.append(announcement(chance, router, prefixes))
    return lines


def announcement(chance: random.Random, router: Router, prefixes: Sequence[str]) -> bytes:
    segment = {"element": "as-sequence", "value": list(chance.choice(PATHS))}
    attribute: dict[str, Any] = {"origin": "igp", "as-path": {"0": segment}}
    if chance.random() < 0.5:
        attribute["med"] = chance.choice([0, 10])
    if chance.random() < 0.5:
        attribute["local-preference"] = chance.choice([100, 200])
    if chance.random() < 0.5:
        attribute["community"] = sorted(chance.sample(COMMUNITIES, k=2))
    family = "ipv6 unicast" if ":" in prefixes[0] else "ipv4 unicast"
    routes = {family: {chance.choice(NEXT_HOPS): [{"nlri": prefix} for prefix in prefixes]}}
    withdrawn = {"withdraw": {family: [{"nlri": chance.choice(prefixes)}]}} if chance.random() < 0.1 else {}
    return router.update(attribute=attribute, announce=routes, **withdrawn)


def choices(values: Sequence[Any]) -> st.SearchStrategy[Choice[Any] | None]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=2)
    return st.none() | st.builds(lambda kept, excluded: Choice(tuple(kept), excluded), some, st.booleans())


FILTERS = st.builds(
    Filter,
    start=st.none() | st.integers(0, 50).map(lambda seconds: T0 + timedelta(seconds=seconds)),
    end=st.none() | st.integers(1, 60).map(lambda seconds: T0 + timedelta(seconds=seconds, milliseconds=250)),
    peers=choices(["192.0.2.1", "192.0.2.2", "192.0.2.0/24", "2001:db8::3", "198.51.100.1"]),
    peer_asns=choices([64500, 64501, 1]),
    origins=choices([64500, 64496, 64511, 1]),
    as_path=st.sampled_from([None, None, "_64496$", "^64500$", "!_64499_", "^1"]),
    communities=choices(["64500:1", "64500:*", "*:666", "1:1"]),
    next_hops=choices(NEXT_HOPS),
    families=choices(["ipv4 unicast", "ipv6 unicast"]),
    elems=choices(["announce", "withdraw", "session"]),
    med=choices([0, 10]),
    local_pref=choices([100, 200]),
    prefixes=choices([*PREFIXES, "10.1.128.0/17", "::/0", "198.51.100.0/24"]),
    match=st.sampled_from(["exact", "more_specific", "less_specific"]),
)


async def test_what_is_read_through_indexes_is_what_the_filters_let_through(store: Store, data_dir: Path) -> None:
    for seed in range(2):
        await archive(data_dir, store, some_day(seed), f"collector{seed}")
    everything = await found(store)
    assert Counter(entry.event for entry in everything).keys() == {
        *("announce", "withdraw", "session_up", "session_end", "gap")
    }
    assert [entry.ts for entry in everything] == sorted(entry.ts for entry in everything)
    histories = {prefix: [one async for one in history(store, HistoryQuery(prefix))] for prefix in PREFIXES[:2]}
    for filters in examples(25):
        assert await found(store, filters) == [entry for entry in everything if filters.matches(entry)], filters
        for prefix, whole in histories.items():
            asked = [one async for one in history(store, HistoryQuery(prefix, filters))]
            assert asked == [entry for entry in whole if filters.matches(entry)], filters


def examples(count: int) -> list[Filter]:
    """Filters generated by hypothesis."""
    made: list[Filter] = []

    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck))
    @given(FILTERS)
    def keep(filters: Filter) -> None:
        made.append(filters)

    keep()
    return made


async def test_history_and_search_say_the_same_of_a_prefix(store: Store, data_dir: Path) -> None:
    await archive(data_dir, store, some_day(3))
    everything = await found(store)
    for prefix in PREFIXES:
        said = [one async for one in history(store, HistoryQuery(prefix)) if one.event in ("announce", "withdraw")]
        assert said == [one for one in everything if one.prefix == prefix and one.event != "gap"]


async def test_a_withdrawal_carries_the_route_that_it_ends(store: Store, data_dir: Path) -> None:
    router = Router()
    lines = [
        *router.up(),
        router.announce(PREFIX, path=(64500, 64496)),
        router.announce(PREFIX, path=(64500, 64499)),
        router.withdraw(PREFIX),
        router.withdraw(PREFIX),
        router.down(),
        *router.up(),
        router.withdraw(PREFIX),
    ]
    await archive(data_dir, store, lines)
    for start in (None, T0 + timedelta(seconds=1.75)):
        filters = Filter(start=start, elems=Choice(("withdraw",)))
        assert [(one.as_path, one.next_hop) for one in await found(store, filters)] == [
            *[("64500 64499", "192.0.2.1")] * 2,
            (None, None),
        ]
    (first, second) = await found(store, Filter(elems=Choice(("withdraw",)), origins=Choice((64499,))))
    assert (first.ts, second.ts) == (T0 + timedelta(seconds=1.75), T0 + timedelta(seconds=2))
    plain = await found(store, Filter(elems=Choice(("withdraw",))), complete=False)
    assert [one.as_path for one in plain] == [None] * 3


async def test_routes_that_are_no_prefixes(store: Store, data_dir: Path) -> None:
    router = Router()
    flow = {"destination-ipv4": ["192.0.2.0/24"], "string": "flow destination-ipv4 192.0.2.0/24"}
    lines = [
        *router.up(),
        router.update(attribute={"origin": "igp"}, announce={"ipv4 flow": {"no-nexthop": [flow]}}),
        router.update(withdraw={"ipv4 flow": [flow]}),
    ]
    await archive(data_dir, store, lines)
    said = await found(store, Filter(families=Choice(("ipv4 flow",))))
    assert [(one.event, one.prefix, one.object, one.origin) for one in said] == [
        ("announce", None, flow, "igp"),
        ("withdraw", None, flow, "igp"),
    ]


async def test_a_route_among_many_of_one_millisecond(store: Store, data_dir: Path) -> None:
    router = Router()
    lines = router.up()
    for number in range(30):
        lines.append(router.announce(PREFIX, path=(64500, number + 1)))
        router.time -= 0.25
    lines.append(router.withdraw(PREFIX))
    await archive(data_dir, store, lines)
    (withdrawal,) = [one async for one in store.find("updates", {"withdraw.nlri": PREFIX})]
    (group,) = withdrawal["withdraw"]
    assert (await LastRoutes(store).find(withdrawal, group, PREFIX))["as_path"] == "64500 30"


async def test_windows_are_read_whole_and_in_order(store: Store, data_dir: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "_traits", Traits(window_documents=5))
    router = Router()
    lines = router.up()
    for number in range(60):
        lines.append(router.announce(f"10.0.{number}.0/24"))
        router.time += 30 * (number % 20 == 0)
    await archive(data_dir, store, lines)
    announced = [one.prefix for one in await found(store, Filter(elems=Choice(("announce",))))]
    assert announced == [f"10.0.{number}.0/24" for number in range(60)]
    assert await count_updates(store, Filter()) == 60


async def test_indexes_serve_what_is_read(store: Store) -> None:
    span = {"$gte": T0, "$lt": T0 + timedelta(hours=1)}
    for query, sort, index in (
        ({"peer.address": "192.0.2.1", "ts": span}, [("ts", 1)], "peer"),
        ({"announce.nlri": PREFIX, "peer.address": "192.0.2.1", "ts": {"$lte": T0}}, [("ts", -1)], "announced"),
    ):
        plan = str(await store.explain("updates", query, sort=sort))
        assert "COLLSCAN" not in plan
        assert index in plan


# --- tail ---------------------------------------------------------------------------------------------------------


class Listener:
    """A tail that listens."""

    def __init__(self, store: Store, filters: Filter) -> None:
        self.heard: list[HistoryEntry] = []
        self._task = asyncio.create_task(self._listen(store, filters))

    async def _listen(self, store: Store, filters: Filter) -> None:
        async for entry in tail(store, filters):
            self.heard.append(entry)

    async def hears(self, count: int) -> list[HistoryEntry]:
        def enough() -> bool:
            if self._task.done():
                self._task.result()
            return len(self.heard) >= count

        await until(enough, what=f"{count} entries, heard {len(self.heard)}")
        return self.heard

    async def begins(self, data_dir: Path, store: Store) -> None:
        """Speak until it hears that, and let it forget it."""
        router = Router("192.0.2.9", 64509)
        await archive(data_dir, store, router.up(), "marker")
        while not self.heard:
            await archive(data_dir, store, [router.announce("192.0.2.0/24")], "marker")
            await asyncio.sleep(0.05)
        await archive(data_dir, store, [router.down()], "marker")
        await until(lambda: self.heard[-1].event == "session_end", what="the marker's end")
        self.heard.clear()

    async def stop(self) -> None:
        await end(self._task)


async def test_tail_hears_what_is_stored_late_once(store: Store, data_dir: Path) -> None:
    """Two collectors; one stores lines that are an hour older than those of the other."""
    early, late = Router("192.0.2.1", start=1.8e9), Router("192.0.2.2", 64501, start=1.8e9 + 3600)
    await archive(data_dir, store, [*early.up(), early.announce("10.9.0.0/16")], "early")
    await archive(data_dir, store, late.up(), "late")
    listener = Listener(store, Filter())
    await listener.begins(data_dir, store)
    await archive(data_dir, store, [late.announce(PREFIX), late.announce(PREFIX)], "late")
    assert [one.ts for one in await listener.hears(2)] == [T0 + timedelta(seconds=3601.25 + n / 4) for n in range(2)]
    late.time -= 0.25  # another one in the same millisecond
    lines = [early.announce("10.1.0.0/16"), early.withdraw("10.9.0.0/16"), early.down("bye")]
    await archive(data_dir, store, [late.announce("10.2.0.0/16")], "late")
    await listener.hears(3)
    await archive(data_dir, store, lines, "early")
    heard = await listener.hears(6)
    await listener.stop()
    assert [(one.event, one.prefix) for one in heard[2:]] == [
        ("announce", "10.2.0.0/16"),
        ("announce", "10.1.0.0/16"),
        ("withdraw", "10.9.0.0/16"),
        ("session_end", None),
    ]
    assert heard[4].as_path == "64500"


async def test_tail_hears_all_after_a_clock_was_set_back(store: Store, data_dir: Path) -> None:
    """Two collectors; the clock of one is set back an hour, that of the other is five minutes behind."""
    stepping, behind = Router("192.0.2.1", start=1.8e9), Router("192.0.2.2", 64501, start=1.8e9 - 300)
    await archive(data_dir, store, stepping.up(), "stepping")
    await archive(data_dir, store, behind.up(), "behind")
    listener = Listener(store, Filter())
    await listener.begins(data_dir, store)
    said = [f"10.{number}.0.0/16" for number in range(8)]
    for number, prefix in enumerate(said, 1):
        if number == 4:
            stepping.time -= 3600
        await archive(data_dir, store, [stepping.announce(prefix), stepping.announce(prefix)], "stepping")
        await archive(data_dir, store, [behind.announce(prefix)], "behind")
        if number % 2:
            await listener.hears(3 * number)
    heard = by_peer(await listener.hears(3 * len(said)))
    await listener.stop()
    assert [one.prefix for one in heard["192.0.2.1"]] == [prefix for prefix in said for _ in range(2)]
    assert [one.prefix for one in heard["192.0.2.2"]] == said


async def test_tail_hears_a_session_that_ended_behind(store: Store, data_dir: Path) -> None:
    ahead, behind = Router("192.0.2.1", start=1.8e9), Router("192.0.2.2", 64501, start=1.8e9 - 300)
    await archive(data_dir, store, ahead.up(), "ahead")
    listener = Listener(store, Filter())
    await listener.begins(data_dir, store)
    await archive(data_dir, store, [*behind.up(), behind.announce(PREFIX)], "behind")
    await listener.hears(2)
    await archive(data_dir, store, [behind.withdraw(PREFIX), behind.down("bye")], "behind")
    heard = await listener.hears(4)
    await listener.stop()
    assert [one.event for one in heard] == ["session_up", "announce", "withdraw", "session_end"]


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
async def test_tail_hears_what_begins_and_ends_behind_between_two_looks(
    store: Store, data_dir: Path, known: bool
) -> None:
    """A collector whose clock is behind; its earlier sessions are not told again."""
    ahead, behind = Router("192.0.2.1", start=1.7e9), Router("192.0.2.2", 64501, start=1.7e9 - 300)
    await archive(data_dir, store, ahead.up(), "ahead", says_how_far=True)
    if known:
        lines = [*behind.up(), behind.announce("10.0.0.0/8"), behind.down("earlier")]
        await archive(data_dir, store, lines, "behind", says_how_far=True)
    of_it = Filter(peers=Choice(("192.0.2.2",)))
    earlier = len(await found(store, of_it))
    listener = Listener(store, Filter())
    await listener.begins(data_dir, store)
    lines = [*behind.up(), behind.announce(PREFIX)]
    behind.counter += 3  # lines that never came
    lines += [behind.withdraw(PREFIX), behind.down("bye")]
    await archive(data_dir, store, lines, "behind", says_how_far=True)
    said = (await found(store, of_it))[earlier:]
    assert {one.event for one in said} == {"session_up", "announce", "gap", "withdraw", "session_end"}
    heard = await listener.hears(len(said))
    await listener.stop()
    assert heard == said


@pytest.mark.parametrize("of", [{}, {"prefixes": Choice(("10.0.0.0/12",)), "match": "more_specific"}], ids=str)
async def test_tail_from_the_past_is_search_and_what_comes(store: Store, data_dir: Path, of: dict[str, Any]) -> None:
    lines = some_day(5)
    await archive(data_dir, store, lines[:60])
    start = T0 + timedelta(seconds=3)
    filters = Filter(start=start, elems=Choice(("session",), excluded=True), **of)
    listener = Listener(store, filters)
    before = await found(store, filters)
    await listener.hears(len(before))
    for at in range(60, len(lines), 7):
        await archive(data_dir, store, lines[at : at + 7])
    whole = await found(store, filters)
    heard = await listener.hears(len(whole))
    await listener.stop()
    assert by_peer(heard) == by_peer(whole)
    assert len(heard) == len(whole)
    assert len(whole) > len(before) > 0


def by_peer(entries: Sequence[HistoryEntry]) -> dict[str, list[HistoryEntry]]:
    """The entries by peer, in order: a look at the store may find one peer's part of a batch before another's."""
    peers: dict[str, list[HistoryEntry]] = defaultdict(list)
    for entry in entries:
        peers[entry.peer.address].append(entry)
    return peers


# --- top ----------------------------------------------------------------------------------------------------------


async def test_top_counts_what_was_said(store: Store, data_dir: Path) -> None:
    router, other = Router(), Router("192.0.2.2", 64501, start=1.8e9 + 100)
    lines = [
        *router.up(),
        router.announce(PREFIX, "10.0.0.0/8", path=(64500, 64496)),
        router.withdraw(PREFIX),
        router.announce(PREFIX, path=(64500, 64496)),
        router.announce(PREFIX, path=(64500, 64499)),
        router.announce("10.0.0.0/8", path=(64500, 64496)),
        *other.up(),
        other.announce("10.1.0.0/16", "10.0.0.0/8", path=(64501, 64496)),
        other.withdraw("10.1.0.0/16"),
    ]
    await archive(data_dir, store, lines)

    async def ranked(what: Any, by: Any = "announcements", filters: Filter | None = None) -> list[tuple[Any, ...]]:
        rows = [one async for one in top(store, what, by, filters or Filter(), 10)]
        return [(one.name, one.announcements, one.withdrawals, one.flaps, one.path_changes) for one in rows]

    assert await ranked("prefixes") == [
        ("10.0.0.0/8", 3, 0, 0, 0),
        (PREFIX, 3, 1, 1, 1),
        ("10.1.0.0/16", 1, 1, 0, 0),
    ]
    assert [row[0] for row in await ranked("prefixes", "flaps")] == [PREFIX]
    assert await ranked("origins") == [("64496", 6, 2, 1, 0), ("64499", 1, 0, 0, 1)]
    assert await ranked("peers") == [("192.0.2.1", 5, 1, 1, 1), ("192.0.2.2", 2, 1, 0, 0)]
    assert (await ranked("paths", "withdrawals"))[0] == ("64500 64496", 4, 1, 1, 0)
    assert await ranked("peers", filters=Filter(peer_asns=Choice((64501,)))) == [("192.0.2.2", 2, 1, 0, 0)]
    within = Filter(prefixes=Choice(("10.0.0.0/8",)), match="more_specific")
    assert await ranked("prefixes", filters=within) == [("10.0.0.0/8", 3, 0, 0, 0), ("10.1.0.0/16", 1, 1, 0, 0)]
    assert await ranked("prefixes", filters=replace(within, match="exact")) == [("10.0.0.0/8", 3, 0, 0, 0)]


def test_top_is_bounded_and_keeps_those_of_which_most_is_said() -> None:
    tally = TopTally(most_names=100, most_routes=100)
    peer = Peer(address="192.0.2.1", asn=64500)
    expected: dict[str, int] = defaultdict(int)
    for number in range(2000):
        name = f"10.0.{number % 5}.0/24" if number % 2 else f"10.{1 + number // 256}.{number % 256}.0/24"
        expected[name] += 1
        one = HistoryEntry(ts=T0, peer=peer, event="announce", prefix=name, family="ipv4 unicast", as_path="64500")
        tally.count(one, (name,))
        assert sum(map(len, tally._places)) <= 100
        assert sum(map(len, tally._paths)) <= 112, "a sixteenth in each part, rounded up"
        if tally.is_full:
            tally.forget()
    most = tally.most("announcements", 5)
    assert {one.name: one.announcements for one in most} == {
        f"10.0.{n}.0/24": expected[f"10.0.{n}.0/24"] for n in range(5)
    }


async def test_the_newest_are_the_last_of_all(store: Store, tmp_path: Path) -> None:
    """Read backwards in windows, or completely if an index on origins serves it."""
    for name, seed in (("one", 1), ("two", 2)):
        await archive(tmp_path, store, some_day(seed, 60), name)
    for filters in (Filter(), Filter(start=T0 + timedelta(seconds=9)), Filter(end=T0 + timedelta(seconds=9))):
        for asked in (
            filters,
            replace(filters, origins=Choice((64496,))),
            replace(filters, elems=Choice(("session",))),
        ):
            whole = await found(store, asked)
            assert whole
            for limit in (1, 7, len(whole), 10**30):
                newest = [entry async for entry in search_newest(store, asked, limit)]
                assert newest == whole[-limit:], (asked, limit)


async def test_the_end_is_read_and_not_all(store: Store, tmp_path: Path) -> None:
    router = Router(start=1.8e9)
    lines = router.up()
    for hour in range(10):
        router.time = 1.8e9 + hour * 3600
        lines += [router.announce(f"10.0.{at}.0/24") for at in range(20)]
    await archive(tmp_path, store, lines)
    read = 0

    def count() -> None:
        nonlocal read
        read += 1

    found = [entry async for entry in search_newest(store, Filter(), 5, on_read=count)]
    assert [entry.prefix for entry in found] == [f"10.0.{at}.0/24" for at in range(15, 20)]
    assert read <= 20


async def test_the_newest_that_are_found_in_the_time_are_given(store: Store, tmp_path: Path) -> None:
    await archive(tmp_path, store, some_day(3))
    cuts: list[datetime] = []
    for patience, entries, times in ((60, await found(store), 0), (0, [], 1)):
        newest = search_newest(store, Filter(), 10**6, patience=patience, on_cut=cuts.append)
        assert [entry async for entry in newest] == entries
        assert len(cuts) == times


async def test_a_tail_with_a_limit_begins_with_the_newest(store: Store, tmp_path: Path) -> None:
    await archive(tmp_path, store, some_day(3))
    whole = await found(store)
    shown = [entry async for entry in tail(store, Filter(start=T0), limit=5)]
    assert shown == whole[-5:]


async def test_the_newest_of_what_has_another_order() -> None:
    async def answers() -> AsyncIterator[tuple[str, int]]:
        for name, second in (("a", 3), ("b", 1), ("c", 3), ("d", 2), ("e", 3)):
            yield name, second

    def moment(answer: tuple[str, int]) -> datetime:
        return T0 + timedelta(seconds=answer[1])

    async def names(limit: int | None) -> str:
        return "".join([name async for name, _ in newest_of(answers(), limit, moment)])

    assert [await names(limit) for limit in (1, 2, 3, 4, 5, 10**30, None)] == [
        *("a", "ac", "ace", "acde", "abcde", "abcde", "abcde")
    ]
