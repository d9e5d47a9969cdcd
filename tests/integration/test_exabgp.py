"""ExaBGP under our supervision, against real daemons: gobgpd connects to us, and we connect to BIRD."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from collector.errors import CollectorError, ConfigurationError
from collector.settings.model import Settings
from collector.sources.exabgp.supervisor import ExabgpSupervisor
from schemas.json_object import JsonObject
from tests.running import free_port
from tests.support import program, until

RECORDER = """\
import os, sys
with open(sys.argv[1], "ab", buffering=0) as out, open(sys.argv[1] + ".pid", "w") as pid:
    pid.write(str(os.getpid()))
    pid.flush()
    if os.path.exists(sys.argv[1] + ".orders"):
        print(open(sys.argv[1] + ".orders").read(), end="", flush=True)
    for line in sys.stdin.buffer:
        out.write(line)
"""


class Bench:
    """A data directory, a helper that records what ExaBGP prints, and the recorded lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.out = directory / "lines"
        self.orders = directory / "lines.orders"
        """The commands that the helper gives ExaBGP, if it exists."""
        recorder = directory / "recorder.py"
        recorder.write_text(RECORDER)
        self.helper = [sys.executable, str(recorder), str(self.out)]

    def settings(self, *peers: JsonObject, listen: str | None = None, **bgp: Any) -> Settings:
        bgp = {"local_as": 65000, "router_id": "10.0.0.2", "listen": listen or f"127.0.0.1:{self.port}", **bgp}
        return Settings.model_validate({"data_dir": self.directory, "bgp": bgp, "peers": peers})

    def lines(self) -> list[JsonObject]:
        with suppress(FileNotFoundError):
            # The last line may be incomplete.
            return [
                json.loads(line)
                for line in self.out.read_bytes().splitlines(keepends=True)
                if line.startswith(b"{") and line.endswith(b"\n")
            ]
        return []

    def states(self, peer: str) -> list[str]:
        found = [line["neighbor"] for line in self.lines() if line["type"] == "state"]
        return [one["state"] for one in found if one["address"]["peer"] == peer]

    def is_up(self, *peers: str) -> bool:
        return all(self.states(peer)[-1:] == ["up"] for peer in peers)

    def prefixes(self, peer: str) -> set[str]:
        """The prefixes that a peer announced, with all families and next hops."""
        found: set[str] = set()
        for line in self.lines():
            update = line.get("neighbor", {}).get("message", {}).get("update", {})
            if line["type"] == "update" and line["neighbor"]["address"]["peer"] == peer:
                for hops in update.get("announce", {}).values():
                    found.update(nlri["nlri"] for nlris in hops.values() for nlri in nlris)
        return found

    def helper_pid(self) -> int:
        return int((self.directory / "lines.pid").read_text())

    @asynccontextmanager
    async def running(self, settings: Settings) -> AsyncIterator[ExabgpSupervisor]:
        supervisor = ExabgpSupervisor(settings, self.helper)
        task = asyncio.create_task(supervisor.run())
        try:
            await until(lambda: task.done() or self.out.exists(), what="the helper runs")
            if task.done():
                await task
            yield supervisor
        finally:
            await supervisor.stop()
            await task


@pytest.fixture
def bench(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Bench:
    caplog.set_level(logging.INFO, "exabgp")
    return Bench(tmp_path)


class Daemon:
    """A BGP daemon in the foreground, which ends with the test."""

    def __init__(self, directory: Path, name: str, command: list[str]) -> None:
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=directory)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Daemons:
    """Starts daemons that have sessions with one bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._running: list[Daemon] = []

    def _start(self, name: str, command: list[str]) -> Daemon:
        daemon = Daemon(self._bench.directory, name, command)
        self._running.append(daemon)
        return daemon

    def gobgpd(self, address: str, asn: int) -> Daemon:
        """A gobgpd that connects to us."""
        file = self._bench.directory / f"gobgpd-{address}.toml"
        file.write_text(
            f"""
            [global.config]
              as = {asn}
              router-id = "10.0.0.{address.rpartition(".")[2]}"
              port = {free_port()}
              local-address-list = ["{address}"]
            [[neighbors]]
              [neighbors.config]
                neighbor-address = "127.0.0.1"
                peer-as = 65000
              [neighbors.transport.config]
                remote-port = {self._bench.port}
                local-address = "{address}"
              [neighbors.timers.config]
                connect-retry = 1
                hold-time = 90
                keepalive-interval = 30
              [[neighbors.afi-safis]]
                [neighbors.afi-safis.config]
                  afi-safi-name = "ipv4-unicast"
            """
        )
        hosts = f"127.0.0.1:{free_port()}"
        return self._start(
            f"gobgpd-{address}", [program("gobgpd"), "-f", str(file), "--api-hosts", hosts, "--pprof-disable"]
        )

    def bird(
        self, address: str, asn: int, *, prefix: str, ours: str = "127.0.0.1", active: bool = False, more: str = ""
    ) -> int:
        """A BIRD that we connect to at the returned port, or that connects to us, and announces one prefix."""
        port, name = free_port(), f"bird-{asn}"
        # BIRD does not announce a loopback address as an IPv6 next hop.
        family, hop = ("ipv6", "address 2001:db8::1") if ":" in prefix else ("ipv4", "self")
        file = self._bench.directory / f"{name}.conf"
        file.write_text(
            f"""
            router id 10.0.1.{asn % 256};
            protocol device {{ scan time 60; }}
            protocol static {{ {family}; route {prefix} blackhole; }}
            protocol bgp collector {{
                local {address} port {port} as {asn};
                neighbor {ours} port {self._bench.port} as 65000;
                multihop 2;
                {"" if active else "passive;"}
                connect delay time 1;
                connect retry time 2;
                error wait time 1, 3;
                {more}
                {family} {{ import none; export all; next hop {hop}; }};
            }}
            """
        )
        # The control socket's path is short whatever the test's directory is: it may have only 108 bytes.
        control = os.path.relpath(self._bench.directory / f"{asn}.ctl", self._bench.directory)
        self._start(name, [program("bird"), "-f", "-c", str(file), "-s", control])
        return port

    def end(self) -> None:
        for daemon in self._running:
            daemon.end()


@pytest.fixture
def daemons(bench: Bench) -> Iterator[Daemons]:
    started = Daemons(bench)
    yield started
    started.end()


def caller(address: str, asn: int, **more: Any) -> JsonObject:
    return {"address": address, "asn": asn, "passive": True, **more}


def called(address: str, asn: int, port: int, **more: Any) -> JsonObject:
    return {"address": address, "asn": asn, "port": port, **more}


# --- sessions and reload ----------------------------------------------------------------------------------------------


async def test_a_reload_touches_only_the_peer_that_changed(bench: Bench, daemons: Daemons) -> None:
    daemons.gobgpd("127.0.0.21", 65021)
    port = daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24")
    other = daemons.bird("127.0.0.23", 65023, prefix="198.51.100.0/24")
    gobgpd, bird = caller("127.0.0.21", 65021), called("127.0.0.22", 65022, port)
    added = called("127.0.0.23", 65023, other)

    async with bench.running(bench.settings(gobgpd, bird)) as supervisor:
        await until(lambda: bench.is_up("127.0.0.21", "127.0.0.22"), what="both sessions are up")
        await until(lambda: bench.prefixes("127.0.0.22") == {"203.0.113.0/24"}, what="BIRD's route")

        supervisor.reload(bench.settings(gobgpd, bird, added))
        await until(lambda: bench.is_up("127.0.0.23"), what="the added peer is up")

        supervisor.reload(bench.settings(gobgpd, {**bird, "hold_time": 60}, added))
        await until(lambda: bench.states("127.0.0.22").count("up") == 2, what="the changed peer is up again")

        supervisor.reload(bench.settings(gobgpd, {**bird, "hold_time": 60}))
        await until(lambda: bench.states("127.0.0.23")[-1:] == ["down"], what="the removed peer is down")

        assert bench.states("127.0.0.21").count("up") == 1
        assert "down" not in bench.states("127.0.0.21")
        assert bench.states("127.0.0.22").count("up") == 2


async def test_a_reload_takes_effect_while_a_route_waits_for_a_peer_that_is_down(
    bench: Bench, daemons: Daemons
) -> None:
    port = daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24")
    absent, bird = called("127.0.0.21", 65021, free_port()), called("127.0.0.22", 65022, port)
    bench.orders.write_text("announce route 192.0.2.0/24 next-hop 192.0.2.1\nversion\n")
    async with bench.running(bench.settings(absent)) as supervisor:
        await until(lambda: b"exabgp 5" in bench.out.read_bytes(), what="the order was read")
        supervisor.reload(bench.settings(absent, bird))
        await until(lambda: bench.is_up("127.0.0.22"), what="the added peer is up")


async def test_exabgps_last_lines_reach_the_helper(bench: Bench, daemons: Daemons) -> None:
    daemons.gobgpd("127.0.0.21", 65021)
    async with bench.running(bench.settings(caller("127.0.0.21", 65021))):
        await until(lambda: bench.is_up("127.0.0.21"), what="the session is up")
    # The helper may run a moment longer than ExaBGP.
    await until(lambda: bench.lines()[-1].get("notification") == "shutdown", what="the last words")
    assert bench.states("127.0.0.21")[-1] == "down"


async def test_forty_peers_may_connect_to_one_port(bench: Bench, daemons: Daemons) -> None:
    # One daemon stands for the forty: the others' connections are refused by state, not by the listening socket.
    peers = [caller(f"127.0.1.{number}", 65100 + number) for number in range(1, 41)]
    daemons.bird("127.0.1.1", 65101, prefix="203.0.113.0/24", active=True)
    daemons.bird("127.0.1.40", 65140, prefix="198.51.100.0/24", active=True)
    async with bench.running(bench.settings(*peers)):
        await until(lambda: bench.is_up("127.0.1.1", "127.0.1.40"), what="the first and the last are up")
        await until(lambda: bench.prefixes("127.0.1.40") == {"198.51.100.0/24"}, what="the last one's route is here")


async def test_an_ipv6_peer_and_an_ipv4_peer_may_be_up_together(bench: Bench, daemons: Daemons) -> None:
    port = daemons.bird("::1", 65031, prefix="2001:db8:31::/48", ours="::1")
    daemons.gobgpd("127.0.0.21", 65021)
    peers = caller("127.0.0.21", 65021), called("::1", 65031, port)
    async with bench.running(bench.settings(*peers, listen=f"[::]:{bench.port}")):
        await until(lambda: bench.is_up("127.0.0.21", "::1"), what="both families are up")
        await until(lambda: bench.prefixes("::1") == {"2001:db8:31::/48"}, what="the IPv6 route")


async def test_a_range_accepts_any_router_within_it(bench: Bench, daemons: Daemons) -> None:
    daemons.gobgpd("127.0.0.66", 65021)
    async with bench.running(bench.settings({"address": "127.0.0.64/27", "asn": 65021})):
        await until(lambda: bench.is_up("127.0.0.66"), what="a router of the range is up")


# --- MD5 and TTL ------------------------------------------------------------------------------------------------------


async def test_a_peer_with_a_password_must_use_it(
    bench: Bench, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "a pass; word")
    daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24", active=True, more='password "a pass; word";')
    daemons.bird("127.0.0.23", 65023, prefix="198.51.100.0/24", active=True, more='password "another";')
    daemons.bird("127.0.0.24", 65024, prefix="192.0.2.0/24", active=True)
    protected = [caller(f"127.0.0.{at}", 65000 + at, password_env="PASSWORD") for at in (22, 23)]
    async with bench.running(bench.settings(*protected, caller("127.0.0.24", 65024))):
        await until(lambda: bench.is_up("127.0.0.22", "127.0.0.24"), what="the right password, and none where none is")
        assert "up" not in bench.states("127.0.0.23")
    assert (bench.directory / "exabgp.conf").stat().st_mode & 0o777 == 0o600


async def test_ttl_security_locks_no_other_peer_out(bench: Bench, daemons: Daemons) -> None:
    port = daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24", more="ttl security on;")
    daemons.gobgpd("127.0.0.21", 65021)  # sends with the usual TTL, to the same port of ours
    peers = caller("127.0.0.21", 65021), called("127.0.0.22", 65022, port, ttl_security=2)
    async with bench.running(bench.settings(*peers)):
        await until(lambda: bench.is_up("127.0.0.21", "127.0.0.22"), what="both are up")


async def test_taking_ttl_security_away_lets_plain_peers_in(bench: Bench, daemons: Daemons) -> None:
    daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24", active=True)
    async with bench.running(bench.settings(caller("127.0.0.22", 65022, ttl_security=1))) as supervisor:
        supervisor.reload(bench.settings(caller("127.0.0.22", 65022)))
        await until(lambda: bench.is_up("127.0.0.22"), what="a peer that sends with the usual TTL is up")


# --- routers that refuse ---------------------------------------------------------------------------------------------


class Refusing:
    """Takes connections and ends each at once."""

    def __init__(self, address: str) -> None:
        self.times: list[float] = []
        self.address = address
        self.port = 0

    async def _refuse(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.times.append(asyncio.get_running_loop().time())
        writer.close()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._refuse, self.address, port)
        async with server:
            yield


async def test_a_router_that_refuses_is_tried_in_growing_pauses_and_logged_once(bench: Bench) -> None:
    port = free_port()
    router = Refusing("127.0.0.22")
    async with bench.running(bench.settings(called("127.0.0.22", 65022, port))):
        await until(lambda: bench.states("127.0.0.22") == ["down"], what="nobody listens, which is told")
        async with router.listening(port):
            await until(lambda: len(router.times) >= 4, what="it is tried again")
    (refused, *_others) = [line["neighbor"] for line in bench.lines() if line["type"] == "state"]
    assert refused["reason"] == "no connection: Connection refused"
    assert router.times[3] - router.times[0] > 2.5


# --- ends -------------------------------------------------------------------------------------------------------------


async def test_a_helper_that_is_killed_comes_back_and_the_session_stays(bench: Bench, daemons: Daemons) -> None:
    daemons.gobgpd("127.0.0.21", 65021)
    port = daemons.bird("127.0.0.22", 65022, prefix="203.0.113.0/24")
    first = caller("127.0.0.21", 65021)
    async with bench.running(bench.settings(first)) as supervisor:
        await until(lambda: bench.is_up("127.0.0.21"), what="the session is up")
        before = bench.helper_pid()
        os.kill(before, signal.SIGKILL)
        # ExaBGP notices that the helper has ended only when it has something to write.
        supervisor.reload(bench.settings(first, called("127.0.0.22", 65022, port)))
        await until(lambda: bench.helper_pid() != before, what="another helper")
        await until(lambda: bench.is_up("127.0.0.22"), what="lines reach it")


async def test_exabgp_is_restarted(bench: Bench, daemons: Daemons, caplog: pytest.LogCaptureFixture) -> None:
    daemons.gobgpd("127.0.0.21", 65021)
    caplog.set_level(logging.INFO, "exabgp")
    async with bench.running(bench.settings(caller("127.0.0.21", 65021))):
        await until(lambda: bench.is_up("127.0.0.21"), what="the session is up")
        first = int(bench.lines()[-1]["pid"])
        os.kill(first, signal.SIGKILL)
        await until(lambda: bench.states("127.0.0.21").count("up") == 2, what="the session is up again")
        assert int(bench.lines()[-1]["pid"]) != first
    assert "ExaBGP ended, killed by SIGKILL; starting it again in 1 s" in caplog.text


async def test_a_taken_port_is_reported_at_once(bench: Bench) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", bench.port))
        other.listen()
        with pytest.raises(CollectorError, match=rf"cannot listen on 127\.0\.0\.1:{bench.port}: Address already"):
            await ExabgpSupervisor(bench.settings(caller("127.0.0.21", 65021)), bench.helper).run()


async def test_an_exabgp_that_outlived_its_collector_is_ended(bench: Bench) -> None:
    """Its collector was killed before it had asked the kernel to end ExaBGP too: ExaBGP still listens."""
    settings = bench.settings(caller("127.0.0.21", 65021))
    async with bench.running(settings):
        pass
    exabgp = str(Path(sys.executable).with_name("exabgp"))
    command = [sys.executable, exabgp, "server", str(settings.data_dir / "exabgp.conf")]
    orphan = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        await until(lambda: not _free(bench.port), what="the orphan listens")
        before = bench.helper_pid()
        async with bench.running(settings):
            await asyncio.to_thread(orphan.wait, 120)
            await until(lambda: bench.helper_pid() != before, what="its own helper runs")
    finally:
        orphan.kill()
        orphan.wait()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            probe.listen()
            return True
    return False


async def test_an_address_that_is_not_ours_is_reported_at_once(bench: Bench) -> None:
    ours = bench.settings(caller("127.0.0.21", 65021, local_address="192.0.2.77"))
    with pytest.raises(CollectorError, match=r"cannot listen on 192\.0\.2\.77:\d+") as raised:
        await ExabgpSupervisor(ours, bench.helper).run()
    assert "not an address of this machine" in raised.value.cure


async def test_an_impossible_reload_changes_nothing(
    bench: Bench, daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    daemons.gobgpd("127.0.0.21", 65021)
    peer = caller("127.0.0.21", 65021)
    async with bench.running(bench.settings(peer)) as supervisor:
        await until(lambda: bench.is_up("127.0.0.21"), what="the session is up")
        text = (bench.directory / "exabgp.conf").read_text()
        supervisor.reload(bench.settings({**peer, "password_file": bench.directory / "missing"}))
        assert "keeps its present configuration" in caplog.text
        assert (bench.directory / "exabgp.conf").read_text() == text
        with pytest.raises(ConfigurationError):
            await ExabgpSupervisor(bench.settings({**peer, "password_env": "NOT_SET_HERE"}), bench.helper).run()
        assert bench.is_up("127.0.0.21")


async def test_exabgp_has_its_own_process_session_and_dies_with_us(bench: Bench) -> None:
    """A process like ours is killed outright: neither ExaBGP nor its helper survives."""
    program("setpriv")
    script = bench.directory / "ours.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from collector.settings.model import Settings\n"
        "from collector.sources.exabgp.supervisor import ExabgpSupervisor\n"
        "settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "asyncio.run(ExabgpSupervisor(settings, sys.argv[2:]).run())\n"
    )
    told = bench.directory / "settings.json"
    told.write_text(bench.settings(caller("127.0.0.21", 65021)).model_dump_json())
    root = str(Path(__file__).parents[2])
    ours = subprocess.Popen(
        [sys.executable, script, told, *bench.helper], env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.DEVNULL
    )
    try:
        await until(lambda: (bench.directory / "lines.pid").exists() and bench.out.exists(), what="the helper runs")
        helper = await until(lambda: (bench.directory / "lines.pid").read_text(), what="its pid")
        exabgp = int(Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[1])
        assert os.getsid(exabgp) == exabgp
    finally:
        ours.kill()
        ours.wait()
    await until(lambda: not _lives(exabgp) and not _lives(int(helper)), what="both are gone")


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
