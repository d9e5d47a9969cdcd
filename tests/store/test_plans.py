"""How servers answer queries that must not be sorted: by an index that has the order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
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
            store.asked = []
            assert [entry async for entry in history(store, HistoryQuery("10.0.0.0/8", filters))]
            assert store.asked
            for query, sort in store.asked:
                # The index over prefix, peer and time has in order what one peer said of one prefix, and nothing else.
                assert isinstance(query["peer.address"], str)
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
