"""No answer depends on the order in which a server returns documents without a specified order."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from collector.query.diff import diff
from collector.query.filters import Filter
from collector.query.history import HistoryQuery, history
from collector.query.peers import peers
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.query.tail import tail
from collector.query.top import top
from collector.query.verify.verify import verify
from collector.store.mongo import Sort, Store
from tests.store.test_archive import archive
from tests.store.test_asking import PREFIXES
from tests.support import Router

T0 = datetime.fromtimestamp(1.8e9, UTC)


class Shuffling(Store):
    """A store that gives what has equal sort keys in any order, and everything where there is no sort."""

    chance: random.Random

    async def find(
        self, collection: str, query: Mapping[str, Any], *, sort: Sort = (), limit: int = 0, **how: Any
    ) -> AsyncGenerator[Any, None]:
        names = [name for name, _ in sort]
        found = [one async for one in super().find(collection, query, sort=sort, **how)]
        given = 0
        for _, same in groupby(found, key=lambda one: [one.get(name) for name in names]):
            some = list(same)
            self.chance.shuffle(some)
            for one in some:
                yield one
                given += 1
                if given == limit:
                    return


def a_day_of_ties() -> list[bytes]:
    """Three routers that send everything within a few milliseconds, in which their sessions also begin and end."""
    chance = random.Random(7)
    routers = [Router(f"192.0.2.{number}", 64500 + number) for number in (1, 2, 3)]
    lines = [line for router in routers for line in router.up()]
    for step in range(90):
        router = chance.choice(routers)
        kind = chance.random()
        if kind < 0.1:
            lines += [router.down("peer reset"), *router.up()]
        elif kind < 0.15:
            router.counter += 3  # lines that never came
            lines.append(router.keepalive())
        elif kind < 0.4:
            lines.append(router.withdraw(chance.choice(PREFIXES[:3])))
        else:
            path = (router.asn, chance.randrange(64496, 64500))
            lines.append(router.announce(*chance.sample(PREFIXES[:3], k=2), path=path))
        for one in routers:
            one.time = T0.timestamp() + step // 10
    return lines


async def everything(store: Store, data_dir: Path) -> dict[str, list[str]]:
    """All answers, as text."""

    async def texts(answers: AsyncIterator[Any]) -> list[str]:
        return [answer.model_dump_json(exclude={"keepalive_age"}) async for answer in answers]

    moments = [T0 + timedelta(seconds=seconds) for seconds in (0, 3, 6)]
    first = tail(store, Filter(start=T0 - timedelta(hours=1)), limit=100)
    return {
        "search": await texts(search(store, Filter())),
        "top": await texts(top(store, "paths", "announcements", Filter(), 100)),
        "peers": await texts(peers(store)),
        "tail": await texts(first),
        "verify": [(await verify(data_dir, store, "test")).model_dump_json()],
        **{f"history {one}": await texts(history(store, HistoryQuery(one))) for one in PREFIXES[:3]},
        "history then": await texts(history(store, HistoryQuery(PREFIXES[0], Filter(start=moments[1])))),
        **{f"rib {at}": await texts(rib(store, RibQuery(at=at))) for at in moments},
        **{f"rib {one}": await texts(rib(store, RibQuery(one))) for one in PREFIXES[:3]},
        "diff": await texts(diff(store, RibQuery(), moments[0], moments[2])),
    }


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


async def test_no_answer_depends_on_the_order_of_equal_keys(embedded_uri: str, database: str, data_dir: Path) -> None:
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir, store, *a_day_of_ties())
        plain = await everything(store, data_dir)
    assert {"session_end", "gap"} <= {line.split('"event":"')[1].split('"')[0] for line in plain["search"]}
    async with Shuffling.open(embedded_uri, database=database) as shuffling:
        for seed in range(3):
            shuffling.chance = random.Random(seed)
            assert await everything(shuffling, data_dir) == plain


async def test_sessions_of_one_moment_end_where_they_ended(embedded_uri: str, database: str, data_dir: Path) -> None:
    """The clock was set back: stored time stands still while sessions come and go."""
    router, prefix = Router(), PREFIXES[0]
    lines = [*router.up(), router.announce(prefix)]
    router.time -= 3600
    lines += [router.down("peer reset"), *router.up(), router.announce(prefix), *router.up(), router.announce(prefix)]
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir, store, *lines)
        said = [entry.event async for entry in search(store, Filter())]
        of_prefix = [entry.event async for entry in history(store, HistoryQuery(prefix))]
        followed = [entry.event async for entry in tail(store, Filter(start=datetime.fromtimestamp(0, UTC)), limit=8)]
    assert said == ["session_up", "announce", "session_end"] * 2 + ["session_up", "announce"]
    assert followed == said
    assert of_prefix == ["announce", "session_end", "announce", "session_end", "announce"]
