"""The activity over time agrees with what a search counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from bgpledger import Archive, Filter, UsageError, parse_filter
from collector.query.activity import _step as step_of
from collector.store.mongo import Store
from tests.store.test_asking import archive, some_day


@pytest.mark.parametrize("samples", [1, 7, 120])
async def test_it_is_what_a_search_counts(store: Store, data_dir: Path, samples: int) -> None:
    await archive(data_dir, store, some_day(1))
    asked = Archive(store, data_dir)
    entries = [entry async for entry in asked.search(parse_filter({}), everything=True)]
    moments = [entry.ts for entry in entries]
    span = Filter(start=min(moments), end=max(moments) + timedelta(milliseconds=1))
    found = [sample async for sample in asked.activity(span, samples=samples)]
    assert 0 < len(found) <= samples + 1
    said = Counter(entry.event for entry in entries)
    assert sum(sample.announcements for sample in found) == said["announce"]
    assert sum(sample.withdrawals for sample in found) == said["withdraw"]
    assert len({(behind.start - before.start) for before, behind in pairwise(found)}) <= 1
    for event in ("announce", "withdraw"):
        by_sample = Counter(
            _sample_of(entry.ts, [one.start for one in found]) for entry in entries if entry.event == event
        )
        name = "announcements" if event == "announce" else "withdrawals"
        assert by_sample == Counter({one.start: getattr(one, name) for one in found if getattr(one, name)})
    one_peer = parse_filter({"peer": entries[0].peer.address})
    some = [s async for s in asked.activity(Filter(start=span.start, end=span.end, peers=one_peer.peers))]
    assert sum(s.announcements for s in some) == sum(
        entry.event == "announce" and entry.peer.address == entries[0].peer.address for entry in entries
    )


def _sample_of(moment: datetime, begins: list[datetime]) -> datetime:
    return max(begin for begin in begins if begin <= moment)


async def test_both_ends_have_to_be_given(store: Store, data_dir: Path) -> None:
    with pytest.raises(UsageError, match="start"):
        await anext(Archive(store, data_dir).activity(Filter()))


@pytest.mark.parametrize(
    ("days", "samples", "step"),
    [(1 / 86400, 120, 1), (1, 120, 15 * 60), (1, 25, 3600), (365, 120, 4 * 86400), (10000, 1, 10000 * 86400)],
)
def test_a_sample_is_as_long_as_people_think(days: float, samples: int, step: int) -> None:
    assert step_of(timedelta(days=days), samples) == timedelta(seconds=step)
