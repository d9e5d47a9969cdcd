"""How servers answer queries that must not be sorted: by an index that has the order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.history_newest import history_newest
from collector.store.mongo import Store
from tests.store.test_archive import archive
from tests.store.test_indexes import LATER, Listening
from tests.support import Router


async def test_no_server_has_to_sort_a_history(mongodb_uri: str, database: str, data_dir: Path) -> None:
    routers = [Router("192.0.2.1", 64501), Router("192.0.2.2", 64502)]
    lines = [line for one in routers for line in (*one.up(), one.announce("10.0.0.0/8"), one.withdraw("10.0.0.0/8"))]
    async with Listening.open(mongodb_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir, store, *lines)
        for filters in (Filter(), Filter(start=LATER - timedelta(hours=1)), Filter(peers=Choice(("192.0.2.1",)))):
            question = HistoryQuery("10.0.0.0/8", filters)
            for read in (history(store, question), history_newest(store, question, 2)):
                store.asked = []
                assert [entry async for entry in read]
                assert store.asked
                for query, sort in store.asked:
                    await check_plan(store, query, sort)


async def check_plan(store: Store, query: Mapping[str, Any], sort: Any) -> None:
    """The index over prefix, peer and time has in order the UPDATEs of one peer for one prefix, and nothing else."""
    assert isinstance(query.get("peer.address"), str) or not sort
    plan = (await store.explain("updates", query, sort=sort))["queryPlanner"]["winningPlan"]
    (scan,) = [stage for stage in stages(plan) if stage["stage"] == "IXSCAN"]
    assert list(scan["keyPattern"]) in [[f"{event}.nlri", "peer.address", "ts"] for event in KINDS]
    # SecantusDB takes all of an index for multikey when one field is, and then sorts; MongoDB does not.
    if not scan["multiKeyPaths"]["ts"]:
        assert "SORT" not in [stage["stage"] for stage in stages(plan)]


KINDS = ("announce", "withdraw")


def stages(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's stages, last one first."""
    plan = plan.get("queryPlan", plan)
    below = [*plan.get("inputStages", ()), *([plan["inputStage"]] if "inputStage" in plan else [])]
    return [plan, *(stage for one in below for stage in stages(one))]
