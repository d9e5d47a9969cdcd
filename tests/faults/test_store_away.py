"""The store is away, slow, silent, failing over, read-only or full: sessions stay up, everything arrives in the end.

`make faults AWAY=600 MRT=file` does the same for longer, with a real table at full speed.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.replay.player import PlannedPeer, plan, play
from collector.spool.state import inspect
from collector.store.mongo import Store
from tests.faults import mongo_proxy as faults
from tests.faults.audit import audit, patient
from tests.faults.feed import pace, write_feed
from tests.faults.harness import COLLECTOR, Outside, Target, cpu_seconds, resident, target
from tests.faults.mongo_proxy import Fault, Proxy, proxy
from tests.running import bgpledger
from tests.support import until

AWAY = float(os.environ.get("FAULTS_AWAY") or 3)
MRT = os.environ.get("FAULTS_MRT")
SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 1_000_000)
# A server that steps down tells the driver's monitor at once. Ours, which does not, has to be asked.
OPTIONS: dict[str, object] = {"serverMonitoringMode": "poll"}
if AWAY < 60:  # long runs use the archiver's own times
    OPTIONS |= {"serverSelectionTimeoutMS": 1000, "connectTimeoutMS": 1000, "socketTimeoutMS": 2000}
WATCHED = ("exabgp", "receive", "archiver")
MIB_MORE = 64
"""What ExaBGP and the receiver may grow by: nothing that depends on how long a store is away."""

pytestmark = pytest.mark.timeout(300 + 20 * AWAY)


@dataclass
class Scene:
    """A collector whose store is behind a proxy, and routers that speak to it."""

    one: Target
    proxy: Proxy
    outside: Outside
    peers: Sequence[PlannedPeer]
    updates: int
    """UPDATEs in the feed."""
    sent: int = 0
    seconds: float = 0.0
    most: int = 0
    """Bytes that waited in the spool at most."""
    before: dict[str, int] = field(default_factory=dict)
    midway: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    cpu: float = 0.0

    async def until_stored(self, *, timeout: float = 60) -> None:
        """Wait until something is stored: then the archiver has made its collections, and sessions are up."""
        async with Store.open(self.outside.uri) as store:

            async def stored() -> bool:
                self.one.assert_alive()
                return await store.count("updates") > 0

            await until(stored, timeout=timeout, what="something is stored")

    async def look_on(self, seconds: float) -> None:
        """Let the fault last, the first time for at least one whole round of the feed."""
        parts = self.one.parts()
        self.before = self.before or memory(parts)
        began, cpu, sent = time.monotonic(), cpu_seconds(parts["archiver"]), self.sent
        while (took := time.monotonic() - began) < seconds or (not self.most and self.sent < sent + self.updates):
            self.one.assert_alive()
            waiting = await asyncio.to_thread(inspect, self.one.data_dir / "spool")
            self.most = max(self.most, waiting.bytes_waiting)
            if took < seconds / 2 or not self.midway:
                self.midway = memory(parts)
            await asyncio.sleep(min(0.2, max(seconds - took, 0.01)))
        parts_now = self.one.parts()
        assert {part: parts_now[part] for part in WATCHED} == {part: parts[part] for part in WATCHED}, self.one.tail()
        self.cpu += cpu_seconds(parts["archiver"]) - cpu
        self.seconds += time.monotonic() - began
        self.after = memory(parts)

    async def spoil(self, fault: Fault, seconds: float) -> None:
        """Let the proxy inject a fault for this long."""
        await self.proxy.set(fault)
        await self.look_on(seconds)

    async def until_idle(self) -> None:
        """Wait until everything received is stored; routers must be silent."""

        def idle() -> bool:
            self.one.assert_alive()
            return inspect(self.one.data_dir / "spool").waiting == 0

        await until(idle, timeout=120 + 5 * self.seconds, what="no line waits")

    def assert_idle_cpu(self) -> None:
        """Idle processes use little CPU (a generous limit): without a store they only retry now and then."""
        assert self.cpu < 2 + 0.5 * self.seconds, "it ran in circles"

    @property
    def figures(self) -> str:
        stages = [self.before, self.midway, self.after]
        sizes = ", ".join(f"{part} {' -> '.join(str(one[part]) for one in stages)} KiB" for part in WATCHED)
        return (
            f"{self.seconds:.1f} s away, {self.most / 2**20:.1f} MiB spooled at most,"
            f" {self.proxy.spoilt} of {self.proxy.writes} writes meanwhile,"
            f" archiver's CPU {self.cpu:.2f} s while away, {sizes}"
        )


def memory(parts: dict[str, int]) -> dict[str, int]:
    return {part: resident(parts[part]) for part in WATCHED}


@asynccontextmanager
async def scene(name: str, data_dir: Path, outside: Outside, fault: Fault = faults.passing) -> AsyncIterator[Scene]:
    """Routers that send for as long as the block runs; then everything must arrive, once.

    Args:
        name: for the figures.
        data_dir: of the collector.
        outside: its store.
        fault: how the store is from the beginning.
    """
    file = Path(MRT) if MRT else write_feed(data_dir.with_name("feed.gz"), seconds=2)
    peers = plan(file)
    async with proxy(outside.port) as between:
        await between.set(fault)
        environment = {"BGPLEDGER_MONGODB_URI": between.uri(**OPTIONS)}
        with target(data_dir, [(peer.source, peer.asn) for peer in peers], **environment) as one:
            here = Scene(one, between, outside, peers, sum(peer.updates for peer in peers))
            await one.until_up()
            async with _speaking(here, file):
                yield here
                await between.set(faults.passing)
                await _assert_sessions_up(here)
            await here.until_idle()
            await asyncio.to_thread(one.stop)  # the proxy goes on meanwhile
        async with Store.open(patient(outside.uri)) as store:
            report = await audit(one.kept, store, COLLECTOR)
        print(f"\nfaults: {name}: {report.figures()}, {here.figures}")
        assert report.faults == [], f"seed {SEED}:\n" + "\n".join(report.faults) + f"\n{one.tail()}"
        assert report.documents == report.lines
        assert report.sessions == len(peers), "one session of each peer, whatever the store did"
        for part in ("exabgp", "receive"):
            assert here.after[part] - here.before[part] < MIB_MORE * 1024, part


@asynccontextmanager
async def _speaking(here: Scene, file: Path) -> AsyncIterator[None]:
    """Replay the feed again and again in sessions that stay up; at full speed if it is a real one."""

    def count(updates: int) -> None:
        here.sent += updates

    speed = None if MRT else pace(file)
    to = ("127.0.0.1", here.one.port)
    task = asyncio.create_task(play(file, to, here.peers, speed=speed, loop=True, progress=count))
    try:
        spool = here.one.data_dir / "spool"
        await until(lambda: task.done() or inspect(spool).read > 100, what="the routers speak")
        yield
        assert not task.done(), "a session ended"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _assert_sessions_up(here: Scene) -> None:
    async with Store.open(here.outside.uri) as store:

        async def all_there() -> bool:
            return len([one async for one in store.find("sessions", {})]) == len(here.peers)

        await until(all_there, timeout=120 + 5 * here.seconds, what="the sessions are stored")
        assert [one async for one in store.find("sessions", {"until": {"$exists": True}})] == []


def times_logged(one: Target, words: str) -> int:
    return one.log.read_text().count(words)


async def test_nothing_is_lost_while_a_store_is_stopped(data_dir: Path, outside: Outside) -> None:
    async with scene("stopped", data_dir, outside) as here:
        await here.until_stored()
        await outside.stop()
        await here.look_on(AWAY)
        here.assert_idle_cpu()
        status = await asyncio.to_thread(here.one.status)
        assert status["store_away_since"]
        assert status["attempts"] > 1
        assert "does not answer" in status["last_error"]
        assert times_logged(here.one, "trying again until it works") == 1 + AWAY // 600
        await outside.start()
        here.proxy.upstream = outside.port
        await here.until_stored()
        await until(lambda: times_logged(here.one, "it works again after "), what="the end is told")
        assert (await asyncio.to_thread(here.one.status))["store_away_since"] is None


REFUSALS = {
    "not primary": faults.refusing(10107, "NotWritablePrimary", "not primary", errorLabels=["RetryableWriteError"]),
    "Atlas says no": faults.refusing(8000, "AtlasError", "you are over your space quota"),
    "no disk": faults.refusing(14031, "OutOfDiskSpace", "out of disk space"),
    "no disk for a document": faults.refusing_each(14031, "out of disk space"),
    "not durable": faults.not_durable,
    "read-only": faults.refusing(13, "Unauthorized", "not authorized on bgpledger to execute command"),
}


async def test_nothing_is_lost_while_a_store_refuses_writes(data_dir: Path, outside: Outside) -> None:
    async with scene(f"refusing ({', '.join(REFUSALS)})", data_dir, outside) as here:
        await here.until_stored()
        for fault in REFUSALS.values():
            spoilt = here.proxy.spoilt
            await here.spoil(fault, AWAY / len(REFUSALS) / 3)
            await until(partial(more, here.proxy, "spoilt", spoilt), what="it is refused")
            await here.proxy.set(faults.passing)
            await until(partial(more, here.proxy, "writes", here.proxy.writes + 1), what="it goes on")


def more(one: Proxy, what: str, than: int) -> bool:
    return bool(getattr(one, what) > than)


async def test_nothing_is_lost_while_a_store_is_read_only_from_the_start(data_dir: Path, outside: Outside) -> None:
    async with scene("read-only user from the beginning", data_dir, outside, REFUSALS["read-only"]) as here:
        await here.look_on(AWAY)
        here.assert_idle_cpu()
        arguments = ["--data-dir", str(data_dir), "status", "--mongodb-uri", here.proxy.uri(**OPTIONS)]
        done = await asyncio.to_thread(bgpledger, *arguments)
        assert done.returncode == 1
        assert "denies access: not authorized" in done.stderr


@pytest.mark.parametrize("fault", [faults.never_answering, faults.never_answering_writes], ids=["anything", "writes"])
async def test_nothing_is_lost_while_a_store_never_answers(data_dir: Path, outside: Outside, fault: Fault) -> None:
    async with scene(fault.__name__.replace("_", " "), data_dir, outside) as here:
        await here.until_stored()
        await here.spoil(fault, AWAY)
        here.assert_idle_cpu()

        def away() -> Any:
            return here.one.status()["store_away_since"]

        await until(lambda: asyncio.to_thread(away), timeout=180, what="it is noticed")


async def test_nothing_is_lost_while_a_store_is_slow_fails_over_and_cuts_connections(
    data_dir: Path, outside: Outside
) -> None:
    async with scene(f"slow (a second a write), failing over, cut off; seed {SEED}", data_dir, outside) as here:
        for fault in (faults.slow(1), faults.failing_over(random.Random(SEED))):
            await here.until_stored()
            await here.spoil(fault, AWAY)
            await here.proxy.set(faults.passing)
            await until(partial(more, here.proxy, "writes", here.proxy.writes + 1), what="it goes on")
        here.cpu = here.seconds = 0.0
        await here.proxy.go_away()
        await here.look_on(AWAY)
        here.assert_idle_cpu()
        await here.proxy.listen()
