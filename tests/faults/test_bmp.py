"""Whatever dies while routers send BGP, and one sends BMP: every record becomes one document, and tables are right.

`make faults KILLS=200 SEED=7` does the same for longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from collector.instances import Instance
from collector.query.verify.verify import verify
from collector.replay.player import plan
from collector.sources.bmp.source import BMP
from collector.sources.source import TORN, Rejection
from collector.spool.framing import unframe
from collector.store import embedded
from collector.store.mongo import Store
from schemas.documents import Place, to_document
from schemas.keys import collector_number, instance_name, key_collector, key_line
from tests.faults.audit import audit, patient, spooled
from tests.faults.bmp_router import Router, archived_routes
from tests.faults.feed import playing, write_feed
from tests.faults.harness import COLLECTOR, WITH_BMP, Killer, Tee, target
from tests.running import free_port
from tests.support import until

KILLS = int(os.environ.get("FAULTS_KILLS") or 4)
SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 1_000_000)
LONGEST_PAUSE = 2.0 if KILLS <= 4 else 10.0
"""A collector that was killed takes some seconds until it listens again."""


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_nothing_of_two_spools_is_lost_whatever_dies(data_dir: Path, tmp_path: Path) -> None:
    """Each spool has an archiver of its own; either dies while the other works."""
    print(f"\nfaults of BMP: seed {SEED}")
    chance, port = random.Random(SEED), free_port()
    file = write_feed(tmp_path / "feed.gz")
    peers = plan(file)
    addresses = [(peer.source, peer.asn) for peer in peers]
    with target(data_dir, addresses, BGPLEDGER_BMP_LISTEN=f"127.0.0.1:{port}") as one:
        tee = Tee(Instance(data_dir, source=BMP.name).spool, tmp_path / "kept-bmp")
        tee.start()
        router, killer = Router(port, chance), Killer(one, None, chance, WITH_BMP)
        try:
            await one.until_up(parts=WITH_BMP)
            await until(lambda: router.connections, what="the router is connected")
            async with playing(file, one.port, peers):
                await killer.kill(KILLS, longest_pause=LONGEST_PAUSE)
            connections = router.connections
            one.kill("bmp", await until(lambda: one.parts().get("bmp"), what="the BMP receiver lives"))
            await until(lambda: router.connections > connections, what="the router has connected again")
            router.be_quiet()
            await asyncio.sleep(0.5)
            await one.until_up(parts=WITH_BMP)
            await one.until_idle()
        finally:
            await router.stop()
            tee.stop()
        one.stop()
    store = await embedded.start(data_dir)
    try:
        async with Store.open(patient(store.uri)) as opened:
            records = await _audit(tmp_path / "kept-bmp", opened)
            report = await audit(one.kept, opened, COLLECTOR)
            found = await verify(data_dir, opened, COLLECTOR)
            routes = await archived_routes(opened)
    finally:
        await store.stop()
    print(
        f"faults of BMP: {killer.figures()}, {records} records, {router.connections} connections,"
        f" {report.figures()}, seed {SEED}"
    )
    assert report.faults == [], f"seed {SEED}:\n" + "\n".join(report.faults) + f"\n{one.tail()}"
    assert (report.lost, report.doubled, report.documents) == (0, 0, report.lines)
    assert found.findings == []
    assert routes == router.tables


async def _audit(kept: Path, store: Store) -> int:
    """Compare each record with its document; returns how many there were."""
    number = collector_number(instance_name(COLLECTOR, BMP.name))
    documents: dict[int, dict[str, Any]] = {}
    for collection in ("updates", "messages", "rejects"):
        async for document in store.find(collection, {}):
            if key_collector(document["_id"]) == number:
                assert key_line(document["_id"]) not in documents, "it is there twice"
                documents[key_line(document["_id"])] = document
    lines = 0
    for line, raw, torn in spooled(kept):
        document = documents.pop(line)
        message = TORN if torn else BMP.decode(unframe(raw))
        if isinstance(message, Rejection):
            assert document["reason"] == message.reason
        else:
            place = Place(document["_id"], document["ts"], COLLECTOR, document.get("session"))
            assert to_document(message, place) == document
        lines += 1
    assert documents == {}, "documents of records that never were"
    return lines
