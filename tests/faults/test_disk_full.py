"""The spool's disk is full for a while: sessions stay up, nothing crash-loops, and the gap has times and number."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.instances import Instance
from collector.replay.player import plan
from collector.sources.bmp.source import BMP
from collector.spool.state import inspect
from collector.store.mongo import Store
from schemas.stored import GapDocument
from tests.faults.bmp_router import PEERS, TABLES, Router, archived_routes
from tests.faults.feed import playing, write_feed
from tests.faults.harness import parts
from tests.running import bgpledger, collecting, free_port
from tests.support import until


@contextmanager
def small(directory: Path) -> Iterator[Path]:
    """A directory on a file system of 12 MiB, if this machine permits it."""
    directory.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture
def small_spool(data_dir: Path) -> Iterator[Path]:
    with small(data_dir / "spool") as spool:
        yield spool


@pytest.mark.parametrize("keep_free_mib", ["0", "2"])
async def test_a_full_disk_is_a_gap(data_dir: Path, tmp_path: Path, small_spool: Path, keep_free_mib: str) -> None:
    file = write_feed(tmp_path / "feed.gz")
    peers = plan(file)
    addresses = [(peer.source, peer.asn) for peer in peers]
    with collecting(
        data_dir, peers=addresses, BGPLEDGER_SPOOL_KEEP_FREE_MIB=keep_free_mib, BGPLEDGER_SPOOL_SEGMENT_MIB="1"
    ) as collector:
        await collector.until_up()
        async with Store.open(collector.uri) as store:

            async def updates() -> int:
                return await store.count("updates")

            async def stored(collection: str, query: dict[str, Any]) -> list[dict[str, Any]]:
                return [document async for document in store.find(collection, query)]

            async def up() -> bool:
                return len(await stored("sessions", {})) == len(peers)

            async def more() -> bool:
                return await updates() > before + 500

            async with playing(file, collector.port, peers):
                await until(up, what="the sessions are up")
                before_parts = parts(collector.process.pid)
                filler = small_spool / "filler"
                fill(filler)
                await until(lambda: inspect(small_spool).full, what="there is no room")
                status = await asyncio.to_thread(bgpledger, "--data-dir", str(data_dir), "status")
                assert status.returncode == 1
                assert "the spool is full, and new lines are dropped, since " in status.stderr
                before = await updates()
                filler.unlink()
                await until(lambda: stored("gaps", {"cause": "disk"}), what="the gap is told")

                await until(more, what="it goes on")
                assert parts(collector.process.pid) == before_parts, "nothing was started again"
                assert len(await stored("sessions", {"until": None})) == len(peers), "the sessions stayed up"

            # With the end of its session, every peer's count is known.
            async def all_told() -> bool:
                gaps = await stored("gaps", {"cause": "disk"})
                dropped = sum(gap["lines"] for gap in gaps if "peer" not in gap)
                missed = sum(gap["lines"] for gap in gaps if "peer" in gap)
                return bool(dropped == missed > 0)

            await until(all_told, what="each line that was dropped is one that a peer's counter misses")
            assert await stored("gaps", {"cause": {"$ne": "disk"}}) == []
        assert "the spool has room again" in collector.log.read_text()


@pytest.mark.skipif("FAULTS_KILLS" not in os.environ, reason="takes half a minute: make faults runs it")
async def test_a_full_disk_is_a_gap_for_bmp_and_the_tables_are_sent_again(data_dir: Path) -> None:
    port = free_port()
    settings: Any = {
        "BGPLEDGER_SPOOL_KEEP_FREE_MIB": "0",
        "BGPLEDGER_SPOOL_SEGMENT_MIB": "1",
        "BGPLEDGER_BMP_LISTEN": f"127.0.0.1:{port}",
    }
    with (
        small(Instance(data_dir, source=BMP.name).spool) as spool,
        collecting(data_dir, **settings) as collector,
    ):
        router = Router(port, random.Random(7))
        try:
            await collector.until_up()
            async with Store.open(collector.uri) as store:

                async def updates() -> int:
                    return await store.count("updates")

                async def gaps() -> list[GapDocument]:
                    return [gap async for gap in store.find("gaps", {"cause": "disk"})]

                async def is_right() -> bool:
                    return await archived_routes(store) == router.tables

                await until(updates, what="it is heard")
                before_parts, connections = parts(collector.process.pid), router.connections
                filler = spool / "filler"
                fill(filler)
                await until(lambda: inspect(spool).full, what="there is no room")
                assert router.connections == connections, "the router is heard on"
                filler.unlink()
                await until(lambda: router.connections > connections, what="the router is to send its tables again")
                found = await until(gaps, what="the gap is told")
                (dropped,) = [gap for gap in found if "peer" not in gap]
                assert dropped["lines"] > 0
                assert "lines" not in dropped or dropped["reason"]
                views = {
                    (gap["peer"]["address"], gap["peer"]["rib"]) for gap in found if gap.get("peer", {}).get("rib")
                }
                assert views == {(peer.address, table) for peer in PEERS for table in TABLES}
                router.be_quiet()
                await until(is_right, what="its tables are right again")
                assert parts(collector.process.pid) == before_parts, "nothing was started again"
        finally:
            await router.stop()
    assert "the spool has room again" in collector.log.read_text()


def fill(path: Path) -> None:
    """Fill the disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            pass
