"""Whatever dies while routers tell by BMP: every record becomes one document, and their tables are right again.

`make faults KILLS=200 SEED=7` does the same for longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collector.instances import Instance
from collector.query.verify.verify import verify
from collector.sources.bmp.source import BMP
from collector.sources.source import TORN, Rejection
from collector.spool.framing import unframe
from collector.store import embedded
from collector.store.mongo import Store
from schemas.documents import Place, to_document
from schemas.keys import collector_number, instance_name, key_collector, key_line
from tests.faults.audit import patient, spooled
from tests.faults.bmp_router import Router, standing
from tests.faults.harness import COLLECTOR, Target, Tee, target
from tests.running import free_port
from tests.support import until

KILLS = int(os.environ.get("FAULTS_KILLS") or 4)
SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 1_000_000)
LONGEST_PAUSE = 2.0 if KILLS <= 4 else 10.0
"""A collector that was killed takes some seconds until it listens again."""
PARTS = ("bmp", "archiver", "store", "run")


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_nothing_of_bmp_is_lost_in_the_spool_and_tables_are_right_again(data_dir: Path, tmp_path: Path) -> None:
    print(f"\nfaults of BMP: seed {SEED}")
    chance, port = random.Random(SEED), free_port()
    killed: Counter[str] = Counter()
    here = Instance(data_dir, source=BMP.name)
    with target(data_dir, (), BGPLEDGER_BMP_LISTEN=f"127.0.0.1:{port}", BGPLEDGER_HTTP_LISTEN="off") as one:
        tee = Tee(here.spool, tmp_path / "kept-bmp")
        tee.start()
        router = Router(port, chance)
        try:
            await until(lambda: router.connections, what="the router is connected")
            for number in range(KILLS):
                await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
                part = PARTS[number % len(PARTS)] if len(PARTS) >= KILLS else chance.choice(PARTS)
                await _kill(one, part)
                killed[part] += 1
            connections = router.connections
            await _kill(one, "bmp")
            await until(lambda: router.connections > connections, what="the router has connected again")
            router.be_quiet()
            await asyncio.sleep(0.5)
            await one.until_up(parts=("run", "archiver", "bmp"))
            await one.until_idle()
        finally:
            await router.stop()
            tee.stop()
        one.stop()
    store = await embedded.start(data_dir)
    try:
        async with Store.open(patient(store.uri)) as opened:
            lines = await _audit(tmp_path / "kept-bmp", opened)
            found = await verify(data_dir, opened, COLLECTOR)
            stands = await standing(opened)
    finally:
        await store.stop()
    print(f"faults of BMP: {dict(killed)}, {lines} records, {router.connections} connections, seed {SEED}")
    assert found.findings == []
    assert stands == router.tables


async def _kill(one: Target, part: str) -> None:
    one.kill(part, await until(lambda: one.parts().get(part), what=f"{part} lives"))


async def _audit(kept: Path, store: Store) -> int:
    """Compare each record with its document; how many there were."""
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
