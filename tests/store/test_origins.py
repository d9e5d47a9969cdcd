"""The routes of an origin AS, found through the index on origins, are the same as those found by reading everything."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.query import origins
from collector.query.filters import Choice, Filter
from collector.query.origins import announced
from collector.query.search import search
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from tests.store.test_archive import archive
from tests.store.test_indexes import Listening, singly
from tests.support import Router

T0 = datetime.fromtimestamp(1.8e9, UTC)
ASNS = (64496, 64499, 64511, 4200000000)
FLOW = {"destination-ipv4": ["192.0.2.0/24"], "string": "flow destination-ipv4 192.0.2.0/24"}


def a_day(seed: int, *, flows: bool = False, steps: int = 150) -> list[bytes]:
    """Routes that change from one origin to another, sometimes after an AS_SET, with withdrawals and resets."""
    chance = random.Random(seed)
    routers = [Router("192.0.2.1", 64501), Router("192.0.2.2", 64502), Router("2001:db8::3", 64503)]
    prefixes = [f"10.{number}.0.0/16" for number in range(6)]
    lines = [line for router in routers for line in router.up()]
    for _ in range(steps):
        router = chance.choice(routers)
        router.time = max(one.time for one in routers) + chance.choice([0, 0, 30])
        some = chance.sample(prefixes, k=chance.randint(1, 3))
        path = {"0": {"element": "as-sequence", "value": [router.asn, chance.choice(ASNS)]}}
        kind = chance.random()
        if kind < 0.04:
            lines += [router.down("peer reset"), *router.up()]
        elif kind < 0.4:
            lines.append(router.withdraw(*some))
        elif flows and kind < 0.5:
            attribute = {"origin": "igp", "as-path": path}
            lines.append(router.update(attribute=attribute, announce={"ipv4 flow": {"no-nexthop": [FLOW]}}))
        elif flows and kind < 0.55:
            lines.append(router.update(withdraw={"ipv4 flow": [FLOW]}))
        else:
            if kind > 0.9:
                path["1"] = {"element": "as-set", "value": chance.sample(ASNS, k=2)}
            routes = {"ipv4 unicast": {"192.0.2.9": [{"nlri": prefix} for prefix in some]}}
            lines.append(router.update(attribute={"origin": "igp", "as-path": path}, announce=routes))
    return lines


def questions() -> list[Filter]:
    chance = random.Random(7)
    moments = [T0 + timedelta(seconds=seconds) for seconds in (0, 200, 500, 900, 1300)]
    return [
        Filter(
            start=chance.choice([None, *moments[:3]]),
            end=chance.choice([None, *moments[2:]]),
            origins=Choice(tuple(chance.sample(ASNS, k=chance.randint(1, 2)))),
            peers=chance.choice([None, None, Choice(("192.0.2.1",)), Choice(("192.0.2.0/24",), excluded=True)]),
            elems=chance.choice([None, None, Choice(("announce",)), Choice(("withdraw",))]),
        )
        for _ in range(15)
    ]


async def found(store: Store, filters: Filter) -> list[HistoryEntry]:
    return [entry async for entry in search(store, filters)]


async def by_reading_all(store: Store, filters: Filter, monkeypatch: pytest.MonkeyPatch) -> list[HistoryEntry]:
    with monkeypatch.context() as patched:
        patched.setattr(origins, "ORIGINS_SINCE", 99)
        return await found(store, filters)


@pytest.mark.parametrize("flows", [False, True], ids=["prefixes", "with flows"])
async def test_the_index_finds_what_is_found_by_reading_all(
    store: Store, data_dir: Path, monkeypatch: pytest.MonkeyPatch, *, flows: bool
) -> None:
    await archive(data_dir, store, *a_day(1, flows=flows))
    answers = 0
    for filters in questions():
        assert await announced(store, filters) is not None
        said = await found(store, filters)
        assert said == await by_reading_all(store, filters, monkeypatch), filters
        answers += sum(entry.event == "withdraw" for entry in said)
    assert answers > 50


async def test_each_step_goes_by_an_index(embedded_uri: str, database: str, data_dir: Path) -> None:
    async with Listening.open(embedded_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir, store, *a_day(2))
        store.asked = []
        said = await found(store, Filter(origins=Choice((64511,))))
        assert {entry.event for entry in said} >= {"announce", "withdraw"}
        asked = [(query, sort) for query, sort in store.asked if "_id" not in query]  # a document's key needs none
        fetched = [set(query) for query, _ in store.asked if "_id" in query]
        assert fetched
        assert all(names == {"_id", "peer.address", "ts"} for names in fetched), "every shard is asked"
        names = {name for query, _ in asked for name in query}
        assert names == {"origin_asns", "withdraw.nlri", "announce.nlri", "peer.address", "ts"}
        for query, sort in {str(one): one for one in asked}.values():
            for one in singly(query):
                plan = str((await store.explain("updates", one, sort=sort))["queryPlanner"]["winningPlan"])
                assert "IXSCAN" in plan, one
                assert "COLLSCAN" not in plan, one


async def test_all_is_read_where_the_index_would_not_be_quicker(
    store: Store, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive(data_dir, store, *a_day(3))
    asked = Filter(origins=Choice((64511,)))
    said = await found(store, asked)
    late = replace(asked, start=said[-3].ts)
    assert await found(store, late) == said[-3:]
    monkeypatch.setattr(origins, "_AT_LEAST", 1)
    assert await announced(store, late) is None
    assert await found(store, late) == said[-3:]
    assert await announced(store, asked) is not None


async def test_origins_are_of_what_is_announced(store: Store, data_dir: Path) -> None:
    """The last AS of a path, or those of an AS_SET at its end; none if routes are only withdrawn."""
    router = Router()
    path = {"0": {"element": "as-sequence", "value": [64500, 64511]}}
    aggregate = {**path, "1": {"element": "as-set", "value": [64496, 64499]}}
    routes = {"ipv4 unicast": {"192.0.2.9": [{"nlri": "10.0.0.0/8"}]}}
    lines = [
        router.update(attribute={"origin": "igp", "as-path": path}, announce=routes),
        router.update(attribute={"origin": "igp", "as-path": aggregate}, announce=routes),
        router.update(
            attribute={"origin": "igp", "as-path": path}, withdraw={"ipv4 unicast": [{"nlri": "10.0.0.0/8"}]}
        ),
    ]
    await archive(data_dir, store, *router.up(), *lines)
    stored = [one async for one in store.find("updates", {}, sort=(("ts", 1),))]
    assert [one.get("origin_asns") for one in stored] == [[64511], [64496, 64499], None]


# --- a database of before -----------------------------------------------------------------------------------------
