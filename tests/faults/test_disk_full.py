"""The spool's disk is full for a while: sessions stay up, nothing crash-loops, the gap has bounds and number."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from collector.replay.player import plan
from collector.spool.state import inspect
from collector.store.mongo import Store
from tests.faults.feed import playing, write_feed
from tests.faults.harness import parts
from tests.running import bgpledger, collecting
from tests.support import until


@pytest.fixture
def small_spool(data_dir: Path) -> Any:
    """The spool on a file system of 12 MiB, where this machine lets us have one."""
    spool = data_dir / "spool"
    spool.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", spool], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield spool
    subprocess.run(["umount", "--lazy", spool], check=True)


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

            async def stands(collection: str, query: dict[str, Any]) -> list[dict[str, Any]]:
                return [document async for document in store.find(collection, query)]

            async def up() -> bool:
                return len(await stands("sessions", {})) == len(peers)

            async def more() -> bool:
                return await updates() > before + 1000

            async with playing(file, collector.port, peers):
                await until(up, what="the sessions are up")
                before_parts = parts(collector.process.pid)
                filler = small_spool / "filler"
                fill(filler)
                await until(lambda: inspect(small_spool).full, what="there is no room")
                status = await asyncio.to_thread(bgpledger, "--data-dir", str(data_dir), "status")
                assert status.returncode == 1
                assert "the spool has no room, new lines are dropped, since " in status.stderr
                before = await updates()
                filler.unlink()
                await until(lambda: stands("gaps", {"cause": "disk"}), what="the gap is told")

                await until(more, what="it goes on")
                assert parts(collector.process.pid) == before_parts, "nothing was started again"
                assert len(await stands("sessions", {"until": None})) == len(peers), "the sessions stayed up"

            # With the session's end every peer has told its count.
            async def all_told() -> bool:
                gaps = await stands("gaps", {"cause": "disk"})
                dropped = sum(gap["lines"] for gap in gaps if "peer" not in gap)
                missed = sum(gap["lines"] for gap in gaps if "peer" in gap)
                return bool(dropped == missed > 0)

            await until(all_told, what="each line that was dropped is one that a peer's counter misses")
            assert await stands("gaps", {"cause": {"$ne": "disk"}}) == []
        assert "the spool has room again" in collector.log.read_text()


def fill(path: Path) -> None:
    """Take all of the disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            pass
