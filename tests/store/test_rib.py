"""The routes at any past time are the same as from folding all messages up to then."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from bgpledger import Archive
from collector.query.diff import diff
from collector.query.peers import peers
from collector.query.rib import Match, RibQuery, rib
from collector.rib import fold, pages
from collector.rib.projecting import Rhythm, project
from collector.store.driver import Document
from collector.store.mongo import Store
from schemas.query import Route
from tests.running import bgpledger
from tests.store.test_archive import archive
from tests.support import Named, Router
from tests.unit.test_gaps import marker

PREFIXES = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.128/25",
    "10.2.0.0/16",
    "2001:db8::/32",
    "::/0",
]
Stand = dict[tuple[str, str, int | None], tuple[str, datetime]]
"""By peer, prefix and path ID the AS path and since when."""


class Step(NamedTuple):
    """One UPDATE of a router, or the end of its session; the session comes up first where it is not."""

    router: int
    announce: Sequence[Named] = ()
    withdraw: Sequence[Named] = ()
    origin: int = 1
    ends: bool = False
    at_once: bool = False
    """In the millisecond of the step before."""


class Story:
    """What two routers say, step by step, and what stood after each of them."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.routers = [Router("192.0.2.1", 64501), Router("2001:db8::2", 64502)]
        self.lines: list[bytes] = []
        self.stand: Stand = {}
        self.up: set[str] = set()
        self.now = 1.8e9
        stood: dict[datetime, Stand] = {}
        for step in steps:
            self.take(step)
            stood[at(self.now)] = dict(self.stand)
        self.moments = list(stood.items())

    def take(self, step: Step) -> None:
        router = self.routers[step.router]
        router.time = self.now - (0.25 if step.at_once else 0)  # a line is a quarter of a second after the one before
        if router.address not in self.up:
            self.lines += router.up()
            self.up.add(router.address)
        if step.ends:
            self.lines.append(router.down("notification received (6,4)"))
            self.up.remove(router.address)
            self.stand = {key: value for key, value in self.stand.items() if key[0] != router.address}
        else:
            self.say(router, step)
        self.now = router.time

    def say(self, router: Router, step: Step) -> None:
        path = (router.asn, step.origin)
        self.lines.append(router.say(announce=step.announce, withdraw=step.withdraw, path=path))
        for prefix, path_id in step.withdraw:
            self.stand.pop((router.address, prefix, path_id), None)
        for prefix, path_id in step.announce:
            self.stand[router.address, prefix, path_id] = (" ".join(map(str, path)), at(router.time))


def some_steps(chance: random.Random) -> Iterator[Step]:
    for _ in range(80):
        router = chance.randrange(2)
        if chance.random() < 0.05:
            yield Step(router, ends=True)
            continue
        family = chance.choice((PREFIXES[:6], PREFIXES[6:]))
        path_id = chance.choice((None, None, 1, 2**32 - 1))
        some = [(prefix, path_id) for prefix in chance.sample(family, chance.randrange(1, 3))]
        if chance.random() < 0.6:
            yield Step(router, announce=some, origin=chance.randrange(1, 4))
        else:
            yield Step(router, withdraw=some)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def ask(store: Store, question: RibQuery) -> list[Route]:
    return [route async for route in rib(store, question)]


def as_stand(routes: list[Route]) -> Stand:
    found = {(one.peer.address, one.prefix or "", one.path_id): (one.as_path or "", one.since) for one in routes}
    assert len(found) == len(routes)
    assert {one.state for one in routes} <= {"stands"}
    return found


async def store_tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store a table after every few UPDATEs, in parts of two routes; changes are packed in between."""
    monkeypatch.setattr(fold, "MOST_CHANGES", 3)
    monkeypatch.setattr(fold, "RUN_ROUTES", 2)
    monkeypatch.setattr(pages, "ROUTES", 2)
    updates = [one async for one in store.find("updates", {}, sort=(("_id", 1),))]
    async for session in store.find("sessions", {}):
        its = [one for one in updates if one["session"] == session["_id"]]
        base = None
        for number in range(0, len(its), 4):
            then = session.copy()
            then["last_seen"], then["updates"] = its[number]["ts"], number
            async for made in project(store, then, base, Rhythm(hours=8, updates=1)):
                base = made
        assert base is not None or len(its) < 5


@pytest.mark.parametrize(("seed", "tables"), [(0, "without tables"), (1, "with tables"), (2, "with tables")])
async def test_at_any_moment(
    data_dir: Path, store: Store, seed: int, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    story = Story(some_steps(chance))
    await archive(data_dir, store, *story.lines)
    if tables == "with tables":
        await store_tables(store, monkeypatch)
    for moment, stand in chance.sample(story.moments, 10):
        for shift in (timedelta(0), timedelta(milliseconds=100)):
            assert as_stand(await ask(store, RibQuery(at=moment + shift))) == stand
        await check_matches(store, moment, chance.choice(PREFIXES), stand)
    assert as_stand(await ask(store, RibQuery())) == story.stand
    counted = {peer.address: peer.routes async for peer in peers(store)}
    assert counted == {router.address: sum(key[0] == router.address for key in story.stand) for router in story.routers}
    for _ in range(5):
        first, second = sorted(chance.sample(story.moments, 2), key=lambda one: one[0])
        await check_changes(store, first, second)


async def check_matches(store: Store, moment: datetime, prefix: str, stand: Stand) -> None:
    def contains(outer: str, inner: str) -> bool:
        one, two = ipaddress.ip_network(outer), ipaddress.ip_network(inner)
        return one.version == two.version and two.subnet_of(one)  # type: ignore[arg-type]

    def length(key: tuple[str, str, int | None]) -> int:
        return int(key[1].partition("/")[2])

    async def found(match: Match) -> Stand:
        return as_stand(await ask(store, RibQuery(prefix, match, moment)))

    less = {key: value for key, value in stand.items() if contains(key[1], prefix)}
    assert await found("exact") == {key: value for key, value in stand.items() if key[1] == prefix}
    assert await found("less_specific") == less
    assert await found("more_specific") == {key: value for key, value in stand.items() if contains(prefix, key[1])}
    longest = {
        key: value for key, value in less.items() if length(key) == max(length(one) for one in less if one[0] == key[0])
    }
    assert await found("longest") == longest


async def check_changes(store: Store, first: tuple[datetime, Stand], second: tuple[datetime, Stand]) -> None:
    (earlier, before), (later, after) = first, second
    changes: dict[Any, str] = {}
    async for change in diff(store, RibQuery(), earlier, later):
        route = change.after or change.before
        assert route is not None
        changes[change.peer.address, change.prefix, route.path_id] = change.event
        assert change.changed == (["as_path"] if change.event == "changed" else None)
    expected = dict.fromkeys(before.keys() - after.keys(), "went")
    expected |= dict.fromkeys(after.keys() - before.keys(), "appeared")
    both = before.keys() & after.keys()
    assert changes == expected | {key: "changed" for key in both if before[key][0] != after[key][0]}


def words(routes: Sequence[Named]) -> st.SearchStrategy[Step]:
    """An UPDATE of some of these: so few that most withdrawals and replacements have something to end."""
    some, none = st.lists(st.sampled_from(routes), max_size=2, unique=True), st.just(())
    pairs = st.one_of(st.tuples(some, some), st.tuples(some, none), st.tuples(none, some))
    return st.builds(_step, st.integers(0, 1), pairs, st.integers(1, 2), at_once=st.booleans())


def _step(router: int, pair: tuple[Sequence[Named], Sequence[Named]], origin: int, *, at_once: bool) -> Step:
    return Step(router, announce=pair[0], withdraw=pair[1], origin=origin, at_once=at_once)


def _ended(router: int, *, at_once: bool) -> Step:
    return Step(router, ends=True, at_once=at_once)


STEPS = st.one_of(
    words([("10.1.0.0/16", None), ("10.1.0.0/16", 1), ("10.1.2.0/24", 1)]),
    words([("2001:db8::/32", 1), ("2001:db8::/32", 2), ("::/0", None)]),
    st.builds(_ended, st.integers(0, 1), at_once=st.booleans()),
)


# Not shrunk: that would archive and ask thousands of times, for minutes. Set `phases` aside to find a short story.
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
@given(steps=st.lists(STEPS, min_size=10, max_size=25), seed=st.integers(0, 2**32), tables=st.booleans())
async def test_any_story(
    embedded_uri: str, monkeypatch: pytest.MonkeyPatch, steps: list[Step], seed: int, tables: bool
) -> None:
    """Announcements, replacements, withdrawals and session ends in any order, for IPv4, IPv6 and path IDs."""
    story, chance = Story(steps), random.Random(seed)
    chosen = sorted(chance.choices(story.moments, k=4), key=lambda one: one[0])
    database = f"test_{uuid.uuid4().hex[:12]}"
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        with TemporaryDirectory() as directory:
            await archive(Path(directory), store, *story.lines)
        if tables:
            await store_tables(store, monkeypatch)
        for moment, stand in chosen:
            assert as_stand(await ask(store, RibQuery(at=moment))) == stand
        await check_matches(store, chosen[0][0], chance.choice(["10.1.2.0/24", "2001:db8::/32"]), chosen[0][1])
        await check_changes(store, chosen[0], chosen[-1])
    with MongoClient[Document](embedded_uri) as client:
        client.drop_database(database)


async def test_what_lines_were_lost_of_is_not_certain(data_dir: Path, store: Store) -> None:
    router = Router()
    lines = [*router.up(), router.announce("10.0.0.0/8"), router.announce("10.1.0.0/16")]
    router.announce("10.2.0.0/16")
    lines += [router.announce("10.1.0.0/16")]
    now = at(router.time)
    await archive(data_dir, store, marker("start", -1), *lines)
    assert {one.prefix: one.state for one in await ask(store, RibQuery())} == {
        "10.0.0.0/8": "uncertain",
        "10.1.0.0/16": "stands",
    }
    (unknown,) = await ask(store, RibQuery("10.2.0.0/16"))
    assert (unknown.state, unknown.since) == ("unknown", now)
    assert await ask(store, RibQuery("10.2.0.0/16", at=now - timedelta(milliseconds=1))) == []


async def test_a_route_that_was_withdrawn_after_a_gap_is_gone(data_dir: Path, store: Store) -> None:
    """With a path ID, another route to the prefix may have been announced in the gap (RFC 7911)."""
    router = Router()
    lines = [*router.up(), router.announce("10.0.0.0/8"), router.say(announce=[("10.1.0.0/16", 1)], path=(64500,))]
    router.announce("10.2.0.0/16")
    lines += [router.withdraw("10.0.0.0/8"), router.say(withdraw=[("10.1.0.0/16", 1)], path=())]
    await archive(data_dir, store, marker("start", -1), *lines)
    assert await ask(store, RibQuery("10.0.0.0/8")) == []
    (other,) = await ask(store, RibQuery("10.1.0.0/16"))
    (longer,) = await ask(store, RibQuery("10.0.0.0/8", "more_specific"))
    (shorter,) = await ask(store, RibQuery("10.0.0.0/8", "longest"))
    assert {other.state, longer.state, shorter.state} == {"unknown"}


async def test_a_route_that_was_announced_and_withdrawn_after_a_gap_has_gone(data_dir: Path, store: Store) -> None:
    router, hidden = Router(), list[str]()
    lines = [*router.up(), router.announce("10.0.0.0/8")]
    router.announce("10.2.0.0/16")
    lines += [router.announce("10.1.0.0/16"), router.announce("10.3.0.0/16")]
    before = at(router.time)
    lines += [router.withdraw("10.0.0.0/8"), router.withdraw("10.1.0.0/16")]
    await archive(data_dir, store, marker("start", -1), *lines)
    changes = diff(store, RibQuery(), before, at(router.time), on_hidden=hidden.append)
    assert [(one.event, one.before and one.before.prefix) async for one in changes] == [("went", "10.1.0.0/16")]
    assert set(hidden) == {"192.0.2.1"}
    table = Archive(store, data_dir).rib()
    assert [one.prefix async for one in table] == ["10.3.0.0/16"]
    assert not table.covered
    assert table.notes[0].startswith("routes may be missing: not all that 192.0.2.1 sent was received")


async def test_formats_without_a_word_for_what_is_not_known(
    data_dir: Path, store: Store, mongodb_uri: str, database: str
) -> None:
    router = Router()
    router.announce("10.2.0.0/16")
    lines = [*router.up(), router.announce("10.0.0.0/8")]
    announced = at(router.time)
    router.announce("10.3.0.0/16")
    lines += [router.announce("10.1.0.0/16"), router.withdraw("10.0.0.0/8")]
    await archive(data_dir, store, marker("start", -1), *lines)
    typed = partial(bgpledger, BGPLEDGER_MONGODB_URI=mongodb_uri, BGPLEDGER_MONGODB_DATABASE=database)
    there = ("rib", "10.2.0.0/16")
    done = await asyncio.to_thread(typed, *there, "--format", "bgpdump")
    assert (done.returncode, done.stdout) == (0, "")
    assert "whether a route to 10.2.0.0/16 stands is not known: lines of 192.0.2.1 were lost" in done.stderr
    shown = await asyncio.to_thread(typed, "history", "10.2.0.0/16")
    assert "  gap  " in shown.stdout
    done = await asyncio.to_thread(typed, *there, "--format", "psv")
    assert (done.stderr, "|unknown|" in done.stdout) == ("", True)
    done = await asyncio.to_thread(typed, "diff", announced.isoformat(), at(router.time).isoformat(), "10.0.0.0/8")
    assert "lines of 192.0.2.1 were lost: routes of which it is not known" in done.stderr
    assert "no route" not in done.stderr


def refresh(router: Router, step: str) -> bytes:
    said = {"afi": "ipv4", "safi": "unicast", "subtype": step}
    return router.line("refresh", direction="receive", **{"route-refresh": said})


async def test_a_table_that_came_again_is_certain(data_dir: Path, store: Store) -> None:
    """Between the markers of an enhanced route refresh; routes that are not repeated are gone (RFC 7313 4)."""
    router = Router()
    lines = [*router.up(), router.announce("10.0.0.0/8"), router.announce("10.1.0.0/16")]
    router.withdraw("10.0.0.0/8")
    lines += [refresh(router, "begin"), router.announce("10.1.0.0/16"), refresh(router, "end")]
    await archive(data_dir, store, marker("start", -1), *lines)
    assert [(one.prefix, one.state) for one in await ask(store, RibQuery())] == [("10.1.0.0/16", "stands")]
    assert await ask(store, RibQuery("10.0.0.0/8")) == []


async def test_routes_of_a_peer_that_restarts_gracefully_are_stale(data_dir: Path, store: Store) -> None:
    router = Router()
    up = [
        line.replace(b'"capabilities": {', b'"capabilities": {"64": {"name": "graceful restart", "time": 60}, ')
        for line in router.up()
    ]
    lines = [*up, router.announce("10.0.0.0/8"), router.down("peer reset, message (closing connection)")]
    ended = at(router.time)
    await archive(data_dir, store, marker("start", -1), *lines)
    question = RibQuery("10.0.0.0/8")
    assert [one.state for one in await ask(store, replace(question, at=ended - timedelta(milliseconds=1)))] == [
        "stands"
    ]
    assert [one.state for one in await ask(store, replace(question, at=ended + timedelta(seconds=59)))] == ["stale"]
    assert await ask(store, replace(question, at=ended + timedelta(seconds=61))) == []
