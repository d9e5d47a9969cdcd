"""Real routers report each other by BMP: FRR monitors, mirrors, and is passive; GoBGP connects to us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.query.filters import Choice, Filter
from collector.query.history import HistoryQuery, history
from collector.query.peers import peers
from collector.query.rib import RibQuery, rib
from collector.store.mongo import Store
from schemas.query import HistoryEntry, Route
from tests.running import Collector, bgpledger, collecting, free_port, processes
from tests.support import missing, program, until

GOBGP, FRR = "127.0.0.1", "127.0.0.20"
"""The routers' addresses, as BMP has them."""
FIRST, SECOND = "203.0.113.0/24", "198.51.100.0/24"


class Routers:
    """GoBGP (AS 64513 at 127.0.0.3) announces given routes to FRR (AS 64520 at 127.0.0.20); both send BMP."""

    def __init__(self, directory: Path) -> None:
        if not Path("/usr/lib/frr/bgpd").exists() or os.geteuid() != 0:
            missing("FRR's bgpd is not here (Debian's package frr), or this is not root")
        self.directory = directory
        self.station, self.listener = free_port(), free_port()
        self._ports = [free_port() for _ in range(4)]
        directory.mkdir()

    def settings(self) -> str:
        return (
            f'[bmp]\nlisten = "127.0.0.1:{self.station}"\nconnect = ["{FRR}:{self.listener}"]\n'
            '[http]\nlisten = "off"\n[bgp]\nlocal_as = 65000\n'
        )

    @contextmanager
    def gobgpd(self) -> Iterator[None]:
        (self.directory / "gobgpd.toml").write_text(
            f"""
            [global.config]
            as = 64513
            router-id = "10.255.0.3"
            port = {self._ports[0]}
            local-address-list = ["127.0.0.3"]
            [[neighbors]]
            [neighbors.config]
            neighbor-address = "{FRR}"
            peer-as = 64520
            [neighbors.transport.config]
            passive-mode = true
            local-address = "127.0.0.3"
            [[bmp-servers]]
            [bmp-servers.config]
            address = "127.0.0.1"
            port = {self.station}
            route-monitoring-policy = "all"
            statistics-timeout = 15
            """
        )
        api = f"127.0.0.1:{self._ports[1]}"
        with self._running(program("gobgpd"), "-f", "gobgpd.toml", "--api-hosts", api, "--pprof-disable"):
            yield

    @contextmanager
    def frr(self) -> Iterator[None]:
        (self.directory / "frr.conf").write_text(
            f"""
            hostname r1
            router bgp 64520
             bgp router-id 10.255.0.20
             no bgp ebgp-requires-policy
             neighbor 127.0.0.3 remote-as 64513
             neighbor 127.0.0.3 port {self._ports[0]}
             neighbor 127.0.0.3 update-source {FRR}
             neighbor 127.0.0.3 ebgp-multihop 2
             neighbor 127.0.0.3 disable-connected-check
             neighbor 127.0.0.3 timers connect 1
             address-family ipv4 unicast
              neighbor 127.0.0.3 soft-reconfiguration inbound
             exit-address-family
             bmp mirror buffer-limit 1000000
             bmp targets T
              bmp stats interval 5000
              bmp monitor ipv4 unicast pre-policy
              bmp monitor ipv4 unicast post-policy
              bmp mirror
              bmp listener {FRR} port {self.listener}
            """
        )
        alone = ["-n", "-S", "-Z", "-M", "bmp", "-u", "root", "-g", "root", "-i", "pid"]
        alone += ["--vty_socket", str(self.directory), "-A", "127.0.0.1", "-P", str(self._ports[3])]
        with self._running("/usr/lib/frr/bgpd", "-f", "frr.conf", "-p", str(self._ports[2]), "-l", FRR, *alone):
            yield

    @contextmanager
    def _running(self, *command: str) -> Iterator[None]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def gobgp(self, *words: str) -> None:
        command = [program("gobgp"), "-u", "127.0.0.1", "-p", str(self._ports[1]), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


class Bench:
    """A collector, and what it has received from the routers."""

    def __init__(self, collector: Collector, store: Store) -> None:
        self.collector, self.store = collector, store

    async def peers(self) -> dict[str, str]:
        """The state of each peer, by router and table."""
        return {f"{one.router} {one.rib or '-'}": one.state async for one in peers(self.store) if one.router}

    async def routes(self, router: str, table: str | None = None) -> list[Route]:
        return [
            route
            async for route in rib(self.store, RibQuery(of_peer=lambda peer: peer.router == router))
            if isinstance(route, Route) and table in (None, route.peer.rib)
        ]

    async def history(self, router: str, prefix: str) -> list[HistoryEntry]:
        question = HistoryQuery(prefix, Filter(routers=Choice((router,))))
        return [entry async for entry in history(self.store, question)]

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        await until(holds, what=f"{what}\n{self.collector.log.read_text()[-3000:]}")

    async def until_up(self) -> None:
        """Wait until both routers report the session between them."""

        async def is_up() -> bool:
            found = await self.peers()
            return found.get(f"{FRR} -") == found.get(f"{GOBGP} -") == "up"

        await self.until(is_up, "the session between both is up")

    async def until_states(self, router: str, table: str, *expected: tuple[str, str]) -> None:
        """Wait until a table has these prefixes in these states, and no others."""

        async def hold() -> bool:
            found = {(route.prefix, route.state) for route in await self.routes(router, table)}
            return found == set(expected)

        await self.until(hold, f"{table} of {router} is {expected}")


@asynccontextmanager
async def bench(routers: Routers, data_dir: Path) -> AsyncIterator[Bench]:
    config = routers.directory / "collector.toml"
    config.write_text(routers.settings())
    with collecting(data_dir, "--config", str(config)) as collector:
        await collector.until_up()
        async with Store.open(collector.uri) as store:
            yield Bench(collector, store)
        done = bgpledger("--data-dir", str(data_dir), "verify", "--format", "json")
        assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
async def test_frr_and_gobgp_report_flaps_and_restarts(tmp_path: Path) -> None:
    routers = Routers(tmp_path / "routers")
    async with bench(routers, tmp_path / "data") as one:
        with routers.frr():
            with routers.gobgpd():
                await _both_tell(routers, one)
                await _the_receiver_is_killed(one)
                routers.gobgp("global", "rib", "del", SECOND)
                routers.gobgp("neighbor", FRR, "softresetout")
                await one.until_states(FRR, "post-policy", (FIRST, "stands"))
                await one.until_states(FRR, "pre-policy", (FIRST, "stands"))
            await _gobgpd_is_gone(one)
        await _frr_is_gone(one)
        with routers.frr(), routers.gobgpd():
            await _both_come_back(routers, one)


async def _both_tell(routers: Routers, one: Bench) -> None:
    """Both routers report each other's routes, each table separately."""
    await one.until_up()
    for prefix in (FIRST, SECOND):
        routers.gobgp("global", "rib", "add", prefix, "nexthop", "192.0.2.3", "med", "7")
    for table in ("pre-policy", "post-policy"):
        await one.until_states(FRR, table, (FIRST, "stands"), (SECOND, "stands"))
    # GoBGP reports its own table, without a Peer Up.
    await one.until_states(GOBGP, "local", (FIRST, "stands"), (SECOND, "stands"))
    mirrored, monitored = [
        next(route for route in await one.routes(FRR) if route.prefix == FIRST and route.peer.rib == table)
        for table in (None, "post-policy")
    ]
    # FRR 8.4 prepends its own AS to the routes of its tables (frr#21815); what it mirrors is what the peer sent.
    assert (mirrored.as_path, monitored.as_path) == ("64513", "64520 64513")
    assert mirrored.med == monitored.med == 7
    by_command = one.collector.ask("history", FIRST, "--router", FRR, "--rib", "post-policy")
    assert [(entry["event"], entry["peer"]["rib"]) for entry in by_command] == [("announce", "post-policy")]


async def _the_receiver_is_killed(one: Bench) -> None:
    """No route is withdrawn: all are uncertain until their tables have been sent again."""
    (pid,) = processes(rf"receive-bmp --data-dir {re.escape(str(one.collector.data_dir))}")
    os.kill(pid, signal.SIGKILL)

    async def is_lost() -> bool:
        return any(entry.event == "gap" for entry in await one.history(FRR, FIRST))

    await one.until(is_lost, "the lost connections are gaps")
    assert not any(entry.event in ("withdraw", "session_end") for entry in await one.history(FRR, FIRST))
    # FRR sends End-of-RIB after its tables.
    for table in ("pre-policy", "post-policy"):
        await one.until_states(FRR, table, (FIRST, "stands"), (SECOND, "stands"))
    assert {route.state for route in await one.routes(FRR) if route.peer.rib is None} == {"uncertain"}


async def _gobgpd_is_gone(one: Bench) -> None:
    """FRR reports that its peer is down; GoBGP's routes stay, uncertain, as nobody has reported their end."""

    async def has_ended() -> bool:
        found = await one.peers()
        return all(found[f"{FRR} {table}"] == "down" for table in ("-", "pre-policy", "post-policy"))

    await one.until(has_ended, "all tables of FRR's peer have ended with its session")
    last = (await one.history(FRR, FIRST))[-1]
    assert (last.event, last.reason) == ("session_end", "the peer closed the connection")

    async def is_uncertain() -> bool:
        return {route.state for route in await one.routes(GOBGP, "local")} == {"uncertain"}

    await one.until(is_uncertain, "what GoBGP told is not certain")


async def _frr_is_gone(one: Bench) -> None:
    """Nobody reports the end of FRR's sessions."""

    def is_lost() -> bool:
        return f"router r1 ({FRR}:" in one.collector.log.read_text().rpartition(" is connected")[2]

    await one.until(is_lost, "FRR's connection is lost")


async def _both_come_back(routers: Routers, one: Bench) -> None:
    """The routes that they report then are certain, whatever was before."""
    await one.until_up()
    routers.gobgp("global", "rib", "add", FIRST, "nexthop", "192.0.2.3")
    for table in ("pre-policy", "post-policy"):
        await one.until_states(FRR, table, (FIRST, "stands"))

    async def stands() -> bool:
        return (FIRST, "stands") in {(route.prefix, route.state) for route in await one.routes(GOBGP, "local")}

    await one.until(stands, "GoBGP's own table has it again")
