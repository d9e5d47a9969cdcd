"""A time line is the history of its range, however it is divided for reading."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bgpledger import Archive, Filter, HistoryEntry
from collector.http.pages.lanes import draw
from collector.store.mongo import Store
from tests.store.test_asking import PREFIXES, archive, some_day


@pytest.fixture
async def asked(embedded_uri: str, database: str, data_dir: Path) -> AsyncIterator[Archive]:
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        await archive(data_dir, store, some_day(3, 70))
        yield Archive(store, data_dir)


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


def in_order(entries: list[HistoryEntry]) -> list[str]:
    return sorted(entry.model_dump_json() for entry in entries)


@pytest.mark.parametrize("most", [3, 4000])
async def test_it_is_the_history_of_its_range(asked: Archive, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr("collector.query.prefix_windows.MOST", most)
    for prefix in PREFIXES:
        every = [entry async for entry in asked.history(prefix)]
        found = await asked.timeline(prefix, seconds=60)
        assert found.since == found.start
        assert in_order(list(found.entries)) == in_order(every)
        if len(every) < 4:
            continue
        span = Filter(start=every[len(every) // 3].ts, end=every[-2].ts)
        within = await asked.timeline(prefix, span, seconds=60)
        assert in_order(list(within.entries)) == in_order([entry async for entry in asked.history(prefix, span)])
        routes = [route async for route in asked.rib(prefix, at=span.start and span.start - timedelta(milliseconds=1))]
        assert sorted((one.peer.name, one.as_path or "") for one in within.standing) == sorted(
            (route.peer.name, route.as_path or "") for route in routes if route.state in ("stands", "uncertain")
        )


async def test_its_pieces_are_the_whole(asked: Archive) -> None:
    prefix = PREFIXES[0]
    every = [entry async for entry in asked.history(prefix)]
    pieces: list[HistoryEntry] = []
    found = await asked.timeline(prefix, seconds=0)
    pieces += found.entries
    while found.since > found.start:
        found = await asked.timeline(prefix, until=found.since, seconds=0)
        pieces += found.entries
    names = ("ts", "event", "peer", "prefix")
    assert sorted(
        str([getattr(one, name) for name in names]) for one in pieces if one.event != "session_end"
    ) == sorted(str([getattr(one, name) for name in names]) for one in every if one.event != "session_end")


async def test_a_drawing_counts_every_event(asked: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await asked.timeline(PREFIXES[0], seconds=60)
    exact = draw(found)
    assert exact.events == len(found.entries) == sum(len(lane.marks) for lane in exact.lanes)
    monkeypatch.setattr("collector.http.pages.lanes._MOST_MARKS", 1)
    thinned = draw(found)
    assert thinned.is_thinned
    assert sum(mark.times for lane in thinned.lanes for mark in lane.marks) == exact.events
    assert len(thinned.lanes) == len(exact.lanes)


async def test_bars_of_a_route_do_not_overlap(asked: Archive) -> None:
    for prefix in PREFIXES:
        found = await asked.timeline(prefix, seconds=60)
        for lane in draw(replace(found, entries=[one for one in found.entries if one.path_id is None])).lanes:
            for bar in lane.bars:
                assert found.start <= bar.start <= bar.end <= found.end
