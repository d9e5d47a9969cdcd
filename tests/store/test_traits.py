"""The answers do not depend on a server's traits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.rib import RibQuery, rib
from collector.query.search import search
from collector.query.verify.verify import verify
from collector.rib.projecting import Rhythm
from collector.rib.rebuilding import rebuild
from collector.store.mongo import Store
from collector.store.traits import MONGODB, SECANTUSDB, Traits
from tests.store.test_archive import archive
from tests.store.test_origins import ASNS, a_day

T0 = datetime.fromtimestamp(1.8e9, UTC)
NARROW = Traits(batch_lines=3, window_documents=4, prefixes=2, keys=2)
"""So that each habit shows in an archive of some hundred documents."""


class AsIf(Store):
    """A store that is treated as if it had these traits."""

    of: Traits = MONGODB

    async def traits(self) -> Traits:
        return self.of


async def answers(data_dir: Path, store: Store) -> list[Any]:
    """All queries that use windows, prefixes and keys."""
    found: list[Any] = []
    for filters in (
        Filter(),
        Filter(start=T0 + timedelta(seconds=100), end=T0 + timedelta(seconds=500)),
        Filter(origins=Choice(ASNS[:2])),
        Filter(peers=Choice(("192.0.2.1",))),
    ):
        found.append([entry async for entry in search(store, filters)])
        found.append([entry async for entry in history(store, HistoryQuery("10.1.0.0/16", filters))])
    for at in (None, T0 + timedelta(seconds=400)):
        questions = [RibQuery("10.1.2.3/32", match, at) for match in ("longest", "less_specific")]
        found += [[route async for route in rib(store, question)] for question in (RibQuery(at=at), *questions)]
    checked = await verify(data_dir, store, "test")
    assert checked.findings == []
    found.append((checked.documents, checked.verified))
    return found


async def test_answers_are_the_same_by_any_traits(mongodb_uri: str, database: str, data_dir: Path) -> None:
    async with AsIf.open(mongodb_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir / "spool", store, *a_day(5, steps=70))
        by_mongodb = await answers(data_dir, store)
        assert all(by_mongodb), "a question without an answer tells nothing"
        for store.of in (SECANTUSDB, NARROW):
            assert await answers(data_dir, store) == by_mongodb
        await rebuild(store, Rhythm(1, 20))
        for store.of in (NARROW, MONGODB):
            assert await answers(data_dir, store) == by_mongodb
