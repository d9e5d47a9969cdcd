"""The whole path against bgpdump: what a file holds is what the archive says of it, prefix by prefix."""

import asyncio
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from collector.query.history import HistoryQuery, history
from collector.store.mongo import Store
from collector.wire.replay_plan import PlannedPeer, plan
from schemas.query import HistoryEntry
from schemas.scalars import normalise_address, normalise_prefix
from tests.running import bgpledger, collecting
from tests.support import ROOT, SHARED, program

OWN = ROOT / "collector/data/demo.mrt.gz"
FILES = [OWN, SHARED / "mrt/updates.20160811.1600.gz"]
WELL_KNOWN = {"no-export": "65535:65281", "no-advertise": "65535:65282", "no-export-subconfed": "65535:65283"}


class Said(NamedTuple):
    """One announcement or withdrawal, in terms that both readings have."""

    peer: str
    event: str
    path: str = ""
    next_hop: str = ""
    origin: str = ""
    med: int = 0
    communities: frozenset[str] = frozenset()


def by_bgpdump(file: Path, peers: list[PlannedPeer]) -> dict[str, list[Said]]:
    """What `bgpdump -m` says of each prefix, with the addresses that the peers have in the replay."""
    sources = {(normalise_address(peer.address), peer.asn): peer.source for peer in peers}
    lines = subprocess.run(
        [program("bgpdump"), "-m", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    ).stdout.splitlines()
    said: dict[str, list[Said]] = defaultdict(list)
    for line in lines:
        _, _, kind, address, asn, *rest = line.split("|")
        if kind == "STATE":
            continue
        peer = sources[normalise_address(address), int(asn)]
        if kind == "W":
            said[normalise_prefix(rest[0])].append(Said(peer, "withdraw"))
        elif kind == "A":
            prefix, path, origin, next_hop, _, med, communities, *_ = rest
            named = frozenset(WELL_KNOWN.get(one, one) for one in communities.split() if one.count(":") < 2)
            said[normalise_prefix(prefix)].append(
                Said(peer, "announce", path, normalise_address(next_hop), origin.lower(), int(med), named)
            )
    return said


def by_us(entries: list[HistoryEntry]) -> list[Said]:
    said = []
    for entry in entries:
        if entry.event == "withdraw":
            said.append(Said(entry.peer.address, "withdraw"))
        elif entry.event == "announce":
            said.append(
                Said(
                    entry.peer.address,
                    "announce",
                    entry.as_path or "",
                    entry.next_hop or "",
                    entry.origin or "",
                    entry.med or 0,
                    frozenset(entry.communities or ()),
                )
            )
    return said


@pytest.mark.timeout(400)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_the_archive_says_what_bgpdump_says(file: Path, data_dir: Path) -> None:
    program("bgpdump")
    if not file.exists():
        pytest.skip(f"{file} is not here")
    peers = plan(file)
    expected = by_bgpdump(file, peers)
    with collecting(data_dir, peers=[(peer.source, peer.asn) for peer in peers]) as collector:
        await collector.until_up()
        played = await asyncio.to_thread(bgpledger, "replay", str(file), "--to", collector.target, timeout=300)
        assert played.returncode == 0, played.stderr
        status = await collector.until_idle()
        assert status["rejected"] == 0
        async with Store.open(collector.uri) as store:
            differences = [
                prefix
                for prefix, said in expected.items()
                if not await _is_same(store, prefix, said, [peer.source for peer in peers])
            ]
            stored = [update async for update in store.find("updates", {}, fields=("announce", "withdraw"))]
        assert differences == []
        assert len(stored) == sum(peer.updates for peer in peers)
        counted = sum(
            len(group["nlri"])
            for update in stored
            for group in [*update.get("announce", ()), *update.get("withdraw", ())]
        )
        assert counted == sum(len(said) for said in expected.values())


async def _is_same(store: Store, prefix: str, expected: list[Said], sources: list[str]) -> bool:
    """Equal for each peer, in order; each peer's routes end with its session, and only those that stood."""
    entries = [entry async for entry in history(store, HistoryQuery(prefix))]
    said = by_us(entries)
    for source in sources:
        mine = [one for one in said if one.peer == source]
        if mine != [one for one in expected if one.peer == source]:
            return False
        ends = [entry for entry in entries if entry.peer.address == source and entry.event == "session_end"]
        if mine and (mine[-1].event == "announce") != (bool(ends) and entries_of(entries, source)[-1] in ends):
            return False
    return True


def entries_of(entries: list[HistoryEntry], source: str) -> list[HistoryEntry]:
    return [entry for entry in entries if entry.peer.address == source]
