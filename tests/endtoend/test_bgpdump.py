"""The whole path against bgpdump: the archive has for each prefix what the file has."""

import asyncio
import subprocess
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from collector.query.history import HistoryQuery, history
from collector.replay.plan import PlannedPeer, plan
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from schemas.scalars import normalise_address
from tests.endtoend.beginning import WHOLE, beginning
from tests.endtoend.table_at import PeerEvent, assert_any_moment, lines
from tests.running import Collector, bgpledger, collecting
from tests.support import ROOT, SHARED, program

OWN = ROOT / "collector/data/demo.mrt.gz"
FILES = [OWN, SHARED / "mrt/updates.20160811.1600.gz", SHARED / "mrt/updates.et-header.2015.gz"]
TOO_LONG_TO_SEARCH = {"updates.et-header.2015.gz"}
MOST_HISTORIES = 10_000 if WHOLE else 60
"""Of a larger file, prefixes at even distances are asked for; its documents are compared all the same."""
MOMENTS = 100 if WHOLE else 30


def by_bgpdump(file: Path, peers: list[PlannedPeer]) -> dict[str, list[PeerEvent]]:
    """What `bgpdump -m` prints for each prefix, with the addresses that the peers have in the replay."""
    events: dict[str, list[PeerEvent]] = defaultdict(list)
    for line in lines(file, peers):
        if line.change.event != "end":
            events[line.prefix].append(line.change)
    return events


def by_history(entries: list[HistoryEntry]) -> list[PeerEvent]:
    """What `history` prints, in the same form."""
    return [
        PeerEvent(
            entry.peer.address,
            entry.event,
            entry.as_path or "",
            entry.next_hop or "",
            entry.origin or "",
            entry.med or 0,
            frozenset(entry.communities or ()),
        )
        if entry.event == "announce"
        else PeerEvent(entry.peer.address, entry.event)
        for entry in entries
        if entry.event != "session_end"
    ]


async def by_documents(store: Store) -> dict[str, list[PeerEvent]]:
    """What the documents of `updates` contain, as an analyst would read them."""
    events: dict[str, list[PeerEvent]] = defaultdict(list)
    async for update in store.find("updates", {}, sort=[("_id", 1)]):
        peer, attributes = update["peer"]["address"], update.get("attributes", {})
        for group in update.get("withdraw", ()):
            for prefix in group["nlri"]:
                events[prefix].append(PeerEvent(peer, "withdraw"))
        for group in update.get("announce", ()):
            one = PeerEvent(
                peer,
                "announce",
                attributes["as_path"],
                group["next_hop"],
                attributes["origin"],
                attributes.get("med", 0),
                frozenset(attributes.get("communities", ())),
            )
            for prefix in group["nlri"]:
                events[prefix].append(one)
    return events


def by_peer(events: list[PeerEvent]) -> dict[str, list[PeerEvent]]:
    """Each peer's entries in order: between peers the order is that of the replay, not of the file."""
    peers: dict[str, list[PeerEvent]] = defaultdict(list)
    for one in events:
        peers[one.peer].append(one)
    return peers


@pytest.mark.timeout(400)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_the_archive_has_what_bgpdump_prints(file: Path, data_dir: Path) -> None:
    program("bgpdump")
    if not file.exists():
        pytest.skip(f"{file} is not here")
    file = beginning(file, data_dir.with_name(file.name))
    peers = plan(file)
    expected = by_bgpdump(file, peers)
    with collecting(data_dir, peers=[(peer.source, peer.asn) for peer in peers]) as collector:
        await collector.until_up()
        played = await asyncio.to_thread(bgpledger, "replay", str(file), "--to", collector.target, timeout=300)
        assert played.returncode == 0, played.stderr
        status = await collector.until_played(len(peers))
        assert status["rejected"] == 0
        if file.name not in TOO_LONG_TO_SEARCH:
            await asyncio.to_thread(assert_search_prints_it, collector, file, peers)
        async with Store.open(collector.uri) as store:
            ends_of_rib = [one async for one in store.find("messages", {"kind": "eor"})]
            assert await store.count("updates") + len(ends_of_rib) == sum(peer.updates for peer in peers)
            found = await by_documents(store)
            assert found.keys() == expected.keys()
            assert [prefix for prefix in expected if by_peer(found[prefix]) != by_peer(expected[prefix])] == []
            for prefix in list(expected)[:: 1 + len(expected) // MOST_HISTORIES]:
                entries = [entry async for entry in history(store, HistoryQuery(prefix))]
                assert by_peer(by_history(entries)) == by_peer(expected[prefix])
                assert_ended_with_its_session(entries)
            if file.name not in TOO_LONG_TO_SEARCH:
                await assert_any_moment(store, file, peers, count=MOMENTS, seed=5)


def assert_search_prints_it(collector: Collector, file: Path, peers: list[PlannedPeer]) -> None:
    """`search --format bgpdump` is `bgpdump -m`, but for times and for the addresses that the peers have here."""
    sources = {(normalise_address(peer.address), str(peer.asn)): peer.source for peer in peers}
    printed = bgpledger("--data-dir", str(collector.data_dir), "search", "--format", "bgpdump")
    assert printed.returncode == 0, printed.stderr
    read = subprocess.run(
        [program("bgpdump"), "-m", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    )
    expected, found = defaultdict(list), defaultdict(list)
    for line in read.stdout.splitlines():
        form, _, kind, address, asn, *rest = line.split("|")
        if kind != "STATE":
            expected[sources[normalise_address(address), asn], rest[0]].append(unordered(kind, rest))
    for line in printed.stdout.splitlines():
        form, _, kind, address, _, *rest = line.split("|")
        assert form == "BGP4MP"
        if kind != "STATE":
            found[address, rest[0]].append(unordered(kind, rest))
    assert found == expected


def unordered(kind: str, fields: list[str]) -> list[str]:
    """A line's fields; ExaBGP sorts communities."""
    return [kind, *(" ".join(sorted(one.split())) if number == 6 else one for number, one in enumerate(fields))]


def assert_ended_with_its_session(entries: list[HistoryEntry]) -> None:
    """All sessions have ended: each peer's route was withdrawn at last, or ended with its session."""
    last = {entry.peer.address: entry.event for entry in entries}
    assert set(last.values()) <= {"withdraw", "session_end"}
    for before, entry in pairwise(sorted(entries, key=lambda entry: entry.peer.address)):
        if entry.event == "session_end":
            assert (before.peer.address, before.event) == (entry.peer.address, "announce")
