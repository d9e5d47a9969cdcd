"""`history --with-ours`: who ordered an announcement, what peers were told, and what they said then, in one order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from bgpledger import Archive, Filter
from collector.query.own_events import own_rows
from collector.store.mongo import Store
from schemas.announcements import RouteAnnouncement
from schemas.intent_documents import intent_document
from schemas.intents import Intent, IntentState
from tests.store.test_store import update

PREFIX = "203.0.113.0/24"
TS = datetime(2026, 11, 27, 12, tzinfo=UTC)
TOLD, OTHER = "192.0.2.1", "192.0.2.2"


def after(seconds: float) -> datetime:
    return TS + timedelta(seconds=seconds)


def state(name: Any, seconds: float, **more: Any) -> IntentState:
    return IntentState(state=name, ts=after(seconds), **more)


INTENT = Intent(
    id="6928000000000000000000a1",
    number=1,
    collector="here",
    announcement=RouteAnnouncement(prefix=PREFIX, med=7, communities=("64500:1",)),
    peers=(TOLD, OTHER),
    asns=(64501, 64502),
    who="alice",
    why="anycast is up",
    source="cli",
    created=TS,
    state="withdrawn",
    states=(
        state("pending", 0),
        state("accepted", 0.01, peer=TOLD),
        state("failed", 0.01, peer=OTHER, reason="ExaBGP refused it"),
        state("sent", 0.02, peer=TOLD),
        state("withdrawing", 60, who="bob", reason="over"),
        state("withdrawn", 60.02, peer=TOLD),
        state("withdrawn", 60.03, peer=OTHER),
    ),
)


@pytest.fixture
def mongodb_uri(embedded_uri: str) -> str:
    return embedded_uri


@pytest.fixture
async def asked(embedded_uri: str, database: str, data_dir: Path) -> AsyncIterator[Archive]:
    """An intent, and a peer that says after a second what it heard of it."""
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        echo = {"family": "ipv4 unicast", "nlri": [PREFIX], "next_hop": "192.0.2.9"}
        await store.insert("updates", [update(1, ts=after(1), announce=[echo])])
        await store.replace("intents", [intent_document(INTENT)])
        yield Archive(store, data_dir)


async def test_it_is_one_time_line(asked: Archive) -> None:
    entries = [entry async for entry in asked.history(PREFIX, with_ours=True)]
    assert [(entry.event, (entry.ts - TS).total_seconds(), entry.reason) for entry in entries] == [
        ("ordered", 0, "anycast is up (alice, cli)"),
        ("ordered", 0, "anycast is up (alice, cli)"),
        ("accepted", 0.01, None),
        ("failed", 0.01, "ExaBGP refused it"),
        ("sent", 0.02, None),
        ("announce", 1, None),
        ("withdrawal_ordered", 60, "over (bob)"),
        ("withdrawal_ordered", 60, "over (bob)"),
        ("withdrawn", 60.02, None),
        ("withdrawn", 60.03, None),
    ]
    ours = [entry for entry in entries if entry.event != "announce"]
    assert {entry.intent for entry in ours} == {INTENT.id}
    assert {(entry.med, tuple(entry.communities or ())) for entry in ours} == {(7, ("64500:1",))}
    assert {(entry.peer.address, entry.peer.asn) for entry in ours} == {(TOLD, 64501), (OTHER, 64502)}


async def test_without_the_peers_as_at_that_time_it_is_the_last_known(embedded_uri: str, database: str) -> None:
    document = intent_document(INTENT)
    del document["asns"]
    async with Store.open(embedded_uri, database=database) as store:
        await store.prepare()
        await store.replace("intents", [document])
        for at, asn in enumerate((64501, 64599)):
            peer = {"address": TOLD, "asn": asn}
            session = {"_id": ObjectId(), "v": 1, "collector": "here", "peer": peer, "since": after(at)}
            await store.insert("sessions", [{**session, "exabgp_pid": 7}])
        found = {one.entry.peer.address: one.entry.peer.asn async for one in own_rows(store, PREFIX)}
    assert found == {TOLD: 64599, OTHER: 0}


async def test_it_has_to_be_asked_for(asked: Archive) -> None:
    assert [entry.event async for entry in asked.history(PREFIX)] == ["announce"]


async def test_filters_of_time_and_peers_pass_ours_and_those_of_routes_do_not_matter(asked: Archive) -> None:
    late = Filter(start=after(30))
    assert [one.event async for one in asked.history(PREFIX, late, with_ours=True)] == [
        *["withdrawal_ordered"] * 2,
        *["withdrawn"] * 2,
    ]
