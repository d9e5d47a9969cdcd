"""Whatever is killed, and when: every line that was read becomes one document.

`make faults KILLS=200 SEED=7 MRT=file` does the same for longer.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from collector.query.verify.verify import verify
from collector.replay.player import plan
from collector.store import embedded
from collector.store.mongo import Store
from tests.faults.audit import audit, patient
from tests.faults.feed import playing, write_feed
from tests.faults.harness import COLLECTOR, Killer, Outside, target
from tests.faults.tables import faulty_tables
from tests.running import bgpledger

KILLS = int(os.environ.get("FAULTS_KILLS") or 4)
SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 1_000_000)
LONGEST_PAUSE = 3.0 if KILLS <= 20 else 6.0


@pytest.mark.timeout(120 + 12 * KILLS)
@pytest.mark.parametrize("whose", ["own store", "outside store"])
async def test_nothing_is_lost_and_nothing_doubled_whatever_dies(whose: str, data_dir: Path, tmp_path: Path) -> None:
    print(f"\nfaults: {whose}, seed {SEED}")
    file = Path(os.environ.get("FAULTS_MRT") or write_feed(tmp_path / "feed.gz"))
    peers = plan(file)
    outside = Outside(tmp_path / "outside") if whose == "outside store" else None
    if outside:
        await outside.start()
    # Tables are stored all the time, so that kills meet them.
    environment = {"BGPLEDGER_RIB_SNAPSHOT_UPDATES": "100"}
    if outside:
        environment["BGPLEDGER_MONGODB_URI"] = outside.uri
    with target(data_dir, [(peer.source, peer.asn) for peer in peers], **environment) as one:
        killer = Killer(one, outside, random.Random(SEED))
        await one.until_up()
        async with playing(file, one.port, peers):
            await killer.kill(KILLS, longest_pause=LONGEST_PAUSE)
            await one.until_up()
        print(f"faults: {killer.figures()}")
        await one.until_idle()
        one.stop()
    said = bgpledger("--data-dir", str(data_dir), "status", "--format", "json")
    if outside:
        await outside.stop()
    store = await embedded.start(tmp_path / "outside" if outside else data_dir)
    try:
        async with Store.open(patient(store.uri)) as opened:
            report = await audit(one.kept, opened, COLLECTOR)
            verified = await verify(data_dir, opened, COLLECTOR)
            tables, faulty = await faulty_tables(opened)
    finally:
        await store.stop()
    print(f"faults: {killer.figures()}, {report.figures()}, {tables} tables, {whose}, seed {SEED}")
    assert report.faults == [], f"seed {SEED}:\n" + "\n".join(report.faults) + f"\n{one.tail()}"
    assert (report.lost, report.doubled) == (0, 0)
    assert report.documents == report.lines
    assert verified.findings == []
    assert faulty == []
    assert tables or KILLS <= 20, "with so many kills some tables come to their end"
    assert (verified.verified, verified.documents, verified.lost) == (report.lines, report.lines, report.gap_lines)
    status = json.loads(said.stdout)
    assert (status["read"], status["waiting"]) == (report.lines, 0)
    assert (status["stored"], status["rejected"]) == (report.lines - report.rejects, report.rejects)
