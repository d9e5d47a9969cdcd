"""The routes as they stood at any moment are what folding every word up to then gives."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.ledger import project
from collector.ledger.project import Rhythm
from collector.query.diff import diff
from collector.query.peers import peers
from collector.query.rib import Match, RibQuery, rib
from collector.store.mongo import Store
from collector.tables import pages
from schemas.query import Route
from tests.store.test_archive import archive
from tests.support import Router
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
Stand = dict[tuple[str, str], tuple[str, datetime]]


class Story:
    """Two routers' words in a random order, and what stood after each of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.routers = [Router("192.0.2.1", 64501), Router("2001:db8::2", 64502)]
        self.lines: list[bytes] = []
        self.moments: list[tuple[datetime, Stand]] = []
        self.stand: Stand = {}
        self.up: set[str] = set()
        self.now = 1.8e9
        for _ in range(150):
            self.step()

    def step(self) -> None:
        router = self.chance.choice(self.routers)
        router.time = self.now
        if router.address not in self.up:
            self.lines += router.up()
            self.up.add(router.address)
        elif self.chance.random() < 0.05:
            self.lines.append(router.down("notification received (6,4)"))
            self.up.remove(router.address)
            self.stand = {key: value for key, value in self.stand.items() if key[0] != router.address}
        else:
            self.say(router)
        self.now = router.time
        self.moments.append((at(self.now), dict(self.stand)))

    def say(self, router: Router) -> None:
        family = self.chance.choice((PREFIXES[:6], PREFIXES[6:]))
        some = self.chance.sample(family, self.chance.randrange(1, 3))
        path = (router.asn, self.chance.randrange(1, 4))
        if self.chance.random() < 0.6:
            self.lines.append(router.announce(*some, path=path))
            for prefix in some:
                self.stand[router.address, prefix] = (" ".join(map(str, path)), at(router.time))
        else:
            self.lines.append(router.withdraw(*some))
            for prefix in some:
                self.stand.pop((router.address, prefix), None)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def ask(store: Store, question: RibQuery) -> list[Route]:
    return [route async for route in rib(store, question)]


def as_stand(routes: list[Route]) -> Stand:
    found = {(one.peer.address, one.prefix or ""): (one.as_path or "", one.since) for one in routes}
    assert len(found) == len(routes)
    return found


async def store_tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table after every few changes, in parts of two routes."""
    monkeypatch.setattr(project, "_MOST_CHANGES", 4)
    monkeypatch.setattr(pages, "ROUTES", 2)
    async for session in store.find("sessions", {}):
        made = [one async for one in project.project(store, session, None, Rhythm(hours=8, updates=1))]
        assert len(made) >= session["updates"] // 10


@pytest.mark.parametrize("tables", ["without tables", "with tables"])
@pytest.mark.parametrize("seed", range(3))
async def test_at_any_moment(
    data_dir: Path, store: Store, seed: int, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(seed)
    await archive(data_dir, store, *story.lines)
    if tables == "with tables":
        await store_tables(store, monkeypatch)
    for moment, stand in story.chance.sample(story.moments, 15):
        for shift in (timedelta(0), timedelta(milliseconds=100)):
            everything = await ask(store, RibQuery(at=moment + shift))
            assert as_stand(everything) == stand
            assert {route.state for route in everything} <= {"stands"}
        prefix = story.chance.choice(PREFIXES)
        await check_matches(store, moment, prefix, stand)
    assert as_stand(await ask(store, RibQuery())) == story.stand
    counted = {peer.address: peer.routes async for peer in peers(store)}
    assert counted == {router.address: sum(key[0] == router.address for key in story.stand) for router in story.routers}
    await check_changes(store, story)


async def check_matches(store: Store, moment: datetime, prefix: str, stand: Stand) -> None:
    import ipaddress

    def contains(outer: str, inner: str) -> bool:
        one, two = ipaddress.ip_network(outer), ipaddress.ip_network(inner)
        return one.version == two.version and two.subnet_of(one)  # type: ignore[arg-type]

    def length(key: tuple[str, str]) -> int:
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


async def check_changes(store: Store, story: Story) -> None:
    for _ in range(5):
        (first, before), (second, after) = sorted(story.chance.sample(story.moments, 2), key=lambda one: one[0])
        changes: dict[Any, str] = {}
        async for change in diff(store, RibQuery(), first, second):
            changes[change.peer.address, change.prefix] = change.event
            assert change.changed == (["as_path"] if change.event == "changed" else None)
        expected = dict.fromkeys(before.keys() - after.keys(), "went")
        expected |= dict.fromkeys(after.keys() - before.keys(), "appeared")
        both = before.keys() & after.keys()
        assert changes == expected | {key: "changed" for key in both if before[key][0] != after[key][0]}


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


def refresh(router: Router, step: str) -> bytes:
    said = {"afi": "ipv4", "safi": "unicast", "subtype": step}
    return router.line("refresh", direction="receive", **{"route-refresh": said})


async def test_a_table_that_came_again_is_certain(data_dir: Path, store: Store) -> None:
    """Between the markers of an enhanced route refresh; what is not in it is gone (RFC 7313 4)."""
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
