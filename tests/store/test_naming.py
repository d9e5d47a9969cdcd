"""For a prefix with many UPDATEs only the newest are read: they have the same result as all of them."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.query import naming
from collector.query.rib import Match, RibQuery, rib
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from collector.store.traits import MONGODB, SECANTUSDB
from schemas.query import Route
from tests.mrt_builder import announcement, message, withdrawal
from tests.store.test_asking import PREFIXES, T0, archive, some_day

_MATCHES: tuple[Match, ...] = ("exact", "longest")


async def test_the_newest_say_what_all_do(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await archive(tmp_path, store, some_day(3))
    sessions = [one async for one in store.find("sessions", {})]
    assert all(map(naming.has_one_route_to_each, sessions))
    moments = [None, *(T0 + timedelta(seconds=seconds) for seconds in (1, 12, 28, 60))]

    async def answers(many: int) -> list[list[Route]]:
        monkeypatch.setattr("collector.query.naming._MANY", many)
        monkeypatch.setattr("collector.query.naming._FIRST_WINDOW", timedelta(milliseconds=300))
        asked = [RibQuery(prefix, match, at) for prefix in PREFIXES for match in _MATCHES for at in moments]
        return [[route async for route in rib(store, one)] for one in asked]

    few, every = await answers(0), await answers(10**6)
    assert few == every
    assert any(route.state == "stands" for routes in every for route in routes)


@pytest.mark.parametrize("path_ids", [False, True])
async def test_a_file_has_no_opens_and_the_newest_say_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path_ids: bool
) -> None:
    chance, path = random.Random(1), tmp_path / "updates"
    said = [announcement("10.1.0.0/16", 64500, 64500 + number % 7) for number in range(20)]
    said += [announcement(prefix, 64500, 64496) for prefix in ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")] * 4
    said += [withdrawal(prefix) for prefix in ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")] * 2
    chance.shuffle(said)
    records = [message(one, time=T0.timestamp() + number) for number, one in enumerate(said)]
    if path_ids:  # the first UPDATE, which no other replaces
        with_id = announcement("10.1.0.0/16", 64500, 64511, path_id=7)
        records.insert(0, message(with_id, subtype=9, time=T0.timestamp()))
    path.write_bytes(b"".join(records))
    await Importer(store, source=MRT, collector="rrc", selection=Selection()).take(path)
    (session,) = [one async for one in store.find("sessions", {})]
    assert (session["families"], session["path_ids"]) == (["ipv4 unicast"], path_ids)
    assert naming.has_one_route_to_each(session) is not path_ids
    assert not naming.has_one_route_to_each({**session, "path_ids": True})
    assert not naming.has_one_route_to_each({**session, "families": ["ipv4 unicast", "ipv4 mpls-vpn"]})
    by_0_2: Any = {name: value for name, value in session.items() if name not in ("families", "path_ids")}
    assert not naming.has_one_route_to_each(by_0_2)
    monkeypatch.setattr("collector.query.naming._FIRST_WINDOW", timedelta(milliseconds=1300))

    async def answers(many: int) -> list[list[Route]]:
        monkeypatch.setattr("collector.query.naming._MANY", many)
        moments = [T0 + timedelta(seconds=seconds) for seconds in range(0, 36, 5)]
        names = ("10.1.0.0/16", "10.1.2.0/24")
        asked = [RibQuery(prefix, match, at) for prefix in names for match in _MATCHES for at in moments]
        return [[route async for route in rib(store, one)] for one in asked]

    few, every = await answers(0), await answers(10**6)
    assert few == every
    assert any(route.path_id == 7 for routes in every for route in routes) is path_ids


async def test_of_what_came_after_the_session_was_written_all_is_read(store: Store, tmp_path: Path) -> None:
    """Its document does not tell yet that a path ID came."""
    path = tmp_path / "updates"
    plain = [message(announcement("10.0.0.0/8", 64500, 64496), time=T0.timestamp() + number) for number in range(3)]
    with_id = message(announcement("10.0.0.0/8", 64500, 64511, path_id=7), subtype=9, time=T0.timestamp() + 600)
    later = message(announcement("10.0.0.0/8", 64500, 64499), time=T0.timestamp() + 1200)
    path.write_bytes(b"".join([*plain, with_id, later]))
    await Importer(store, source=MRT, collector="rrc", selection=Selection()).take(path)
    (session,) = [one async for one in store.find("sessions", {})]
    stale: Any = {**session, "last_seen": T0 + timedelta(seconds=2), "path_ids": False}
    span = {"$gte": T0, "$lte": T0 + timedelta(seconds=1300)}
    found = await naming._newest(store, stale, ["10.0.0.0/8"], span)
    assert {T0 + timedelta(seconds=600), T0 + timedelta(seconds=1200)} <= {one["ts"] for one in found.values()}


def test_only_where_lists_are_slow_prefixes_are_queried_alone() -> None:
    prefixes = ["10.0.0.1/32", "10.0.0.0/25", "10.0.0.0/24", "10.0.0.0/8", "2001:db8::/48", "2001:db8::1/128"]
    assert list(naming._together(prefixes, MONGODB)) == [prefixes]
    assert list(naming._together(prefixes, SECANTUSDB)) == [
        ["10.0.0.0/24"],
        ["10.0.0.0/8"],
        ["2001:db8::/48"],
        ["10.0.0.1/32", "10.0.0.0/25", "2001:db8::1/128"],
    ]
