"""A running collector: its configuration changes, its parts die, and its peers notice only what concerns them."""

import asyncio
import os
import re
import signal
import subprocess
from pathlib import Path

from collector.store.mongo import Store
from schemas.json_object import JsonObject
from tests.running import BGPLEDGER, Collector, collecting, free_port, processes, router
from tests.support import ROOT, program, until

FEED = ROOT / "collector/data/demo.mrt.gz"
ONE, TWO = ("192.0.2.1", "127.0.1.1", 64496), ("192.0.2.2", "127.0.1.2", 64497)


def configuration(file: Path, *peers: tuple[str, str, int]) -> None:
    blocks = [f'[[peers]]\naddress = "{source}"\nasn = {asn}\npassive = true\n' for _, source, asn in peers]
    file.write_text("\n".join(blocks))


async def by_address(collector: Collector) -> dict[str, JsonObject]:
    return {peer["address"]: peer for peer in await asyncio.to_thread(collector.ask, "peers")}


async def are(collector: Collector, **states: str) -> bool:
    """Whether peers, by the last number of their address, are in these states."""
    found = await by_address(collector)
    return all(found.get(f"127.0.1.{last[1:]}", {}).get("state") == state for last, state in states.items())


async def have_all_routes(collector: Collector) -> bool:
    found = await by_address(collector)
    return [found[source]["updates"] for _, source, _ in (ONE, TWO)] == [40, 24]


def children(collector: Collector, words: str) -> list[int]:
    """The collector's processes whose command line has these words."""
    found = processes(f"{words}.*{re.escape(str(collector.data_dir))}")
    return [pid for pid in found if pid != collector.process.pid]


async def test_a_reload_touches_only_what_changed(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    configuration(config, ONE, TWO)
    with collecting(data_dir, "--config", str(config)) as collector:
        await collector.until_up()
        with router(FEED, ONE[0], collector.target), router(FEED, TWO[0], collector.target):
            await until(lambda: are(collector, _1="up", _2="up"))
            await until(lambda: have_all_routes(collector))
            before = await by_address(collector)
            configuration(config, ONE, ("192.0.2.3", "127.0.1.3", 65551))
            collector.process.send_signal(signal.SIGHUP)
            await until(lambda: are(collector, _1="up", _2="down", _3="never"))
            after = await by_address(collector)
            assert (after[ONE[1]]["since"], after[ONE[1]]["updates"]) == (before[ONE[1]]["since"], 40)
            assert "removed" in after[TWO[1]]["reason"]
            config.write_text("[bgp\n")
            collector.process.send_signal(signal.SIGHUP)
            await until(lambda: "not reloaded" in collector.log.read_text())
            assert await are(collector, _1="up")


async def test_killing_the_archiver_loses_nothing(data_dir: Path) -> None:
    """Nothing is stored twice either, and the session stays up."""
    with collecting(data_dir, peers=[peer[1:] for peer in (ONE, TWO)]) as collector:
        await collector.until_up()
        with router(FEED, ONE[0], collector.target):
            await until(lambda: are(collector, _1="up"))
            since = (await by_address(collector))[ONE[1]]["since"]
            (archiver,) = children(collector, "bgpledger archive")
            os.kill(archiver, signal.SIGKILL)
            with router(FEED, TWO[0], collector.target):
                await until(lambda: have_all_routes(collector))
                assert (await by_address(collector))[ONE[1]]["since"] == since
                await collector.until_idle()
                announced = await asyncio.to_thread(collector.ask, "history", "203.0.113.0/24")
                assert len(announced) == 7


async def test_a_collector_that_is_killed_leaves_nothing_behind(data_dir: Path) -> None:
    """Its next start continues the archive, and does not attribute the end of the session to the peer."""
    port, ended = free_port(), False
    peers = [ONE[1:]]
    try:
        with collecting(data_dir, port=port, peers=peers) as collector:
            await collector.until_up()
            with router(FEED, ONE[0], collector.target):
                await until(lambda: counted(collector, 40))
                await collector.until_idle()
                collector.process.kill()
                await until(lambda: not children(collector, ""), what="its parts end as well")
                ended = True
    except AssertionError:
        if not ended:
            raise
        assert collector.process.returncode == -signal.SIGKILL
    with collecting(data_dir, port=port, peers=peers) as collector:
        await collector.until_up()
        await until(lambda: are(collector, _1="down"))
        status = await collector.until_idle()
        assert status["rejected"] == 0
        async with Store.open(collector.uri) as store:
            assert [session["ended_by"] async for session in store.find("sessions", {})] == ["collector"]
        assert len(await asyncio.to_thread(collector.ask, "history", "203.0.113.0/24")) == 5


async def test_an_archiver_that_survived_its_collector_is_ended(data_dir: Path) -> None:
    """Its collector was killed too early for it to die as well: it holds the spool, which nobody else can then read."""
    nowhere = {**os.environ, "BGPLEDGER_MONGODB_URI": f"mongodb://127.0.0.1:{free_port()}/"}
    command = [BGPLEDGER, "archive", "--data-dir", str(data_dir)]
    left = subprocess.Popen(command, env=nowhere, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until(lambda: (data_dir / "spool" / "reader.lock").exists(), what="it holds the spool")
        with collecting(data_dir) as collector:
            await collector.until_up()
            await until(lambda: collector.status()["stored"], what="the new one stores")
            assert "ended the archiver of a collector that was killed" in collector.log.read_text()
        assert left.wait(120) == 0
    finally:
        left.kill()
        left.wait()


async def test_exabgp_runs_under_another_python(data_dir: Path) -> None:
    """PyPy is several times as fast, and gives the same result."""
    python = program("pypy3")
    with collecting(data_dir, peers=[ONE[1:]], BGPLEDGER_EXABGP_PYTHON=python) as collector:
        await collector.until_up()
        with router(FEED, ONE[0], collector.target):
            await until(lambda: are(collector, _1="up"))
            (exabgp,) = children(collector, "patched.py")
            assert Path(f"/proc/{exabgp}/exe").resolve() == Path(python).resolve()
            await until(lambda: counted(collector, 40))
            assert len(await asyncio.to_thread(collector.ask, "history", "203.0.113.0/24")) == 4


async def counted(collector: Collector, updates: int) -> bool:
    return bool((await by_address(collector))[ONE[1]]["updates"] == updates)
