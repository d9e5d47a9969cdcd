"""What a reader of the live feed has missed when it returns with a mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgpledger import Archive
from bgpledger.cursors import LineMark
from collector.query.follow import by_number, notes_since
from collector.store.mongo import Store
from tests.store.test_asking import PREFIX, T0, archive
from tests.support import Router


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


async def test_a_collector_that_is_new_and_whose_clock_is_behind(store: Store, data_dir: Path) -> None:
    first = Router("192.0.2.1")
    await archive(data_dir, store, [*first.up(), first.announce(PREFIX)], "first", says_how_far=True)
    mark = LineMark()
    reached = by_number(await store.meta.reached())
    async for line in notes_since(store, T0):
        mark.given_of(line._replace(looked=reached))
        mark.see(line, len(line.entries))
    second = Router("192.0.2.2", start=T0.timestamp() - 3600)
    await archive(
        data_dir, store, [*second.up(), second.announce(PREFIX), second.withdraw(PREFIX)], "second", says_how_far=True
    )
    returned = LineMark(mark.token())
    missed = [
        (entry.peer.address, entry.event)
        async for line in Archive(store, data_dir).missed(returned)
        for entry in line.entries[returned.given_of(line) :]
    ]
    assert missed == [("192.0.2.2", event) for event in ("session_up", "announce", "withdraw")]
