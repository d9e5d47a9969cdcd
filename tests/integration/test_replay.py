"""`replay` into real daemons: for each peer they then have the routes that bgpdump reads in the file."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collector.errors import ReplayError
from collector.replay import player
from collector.replay.player import PlannedPeer, plan, play
from schemas.json_object import JsonObject
from tests.running import bgpledger, collecting, free_port
from tests.support import ROOT, program, shared, until

DEMO = Path(__file__).parents[2] / "collector" / "data" / "demo.mrt.gz"
DAEMON_AS = 64510


class Route(NamedTuple):
    """The compared values: the path, and the attributes that both sides show."""

    path: tuple[int, ...]
    origin: str
    med: int
    communities: frozenset[str]


Table = dict[tuple[str, str], Route]
"""Routes by the peer's address and the prefix."""


def table_of_file(path: Path) -> Table:
    """The routes at the end of a file, as bgpdump reads it."""
    lines = subprocess.run([program("bgpdump"), "-m", path], capture_output=True, text=True, check=True).stdout
    table: Table = {}
    for line in lines.splitlines():
        _, _, event, peer, _, prefix, *rest = line.split("|")
        if event == "W":
            table.pop((peer, prefix), None)
        elif event == "A":
            hops = tuple(int(asn) for asn in re.findall(r"\d+", rest[0]))
            table[peer, prefix] = Route(hops, rest[1].lower(), int(rest[4]), frozenset(rest[5].split()))
    return table


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()


class Gobgpd:
    """A gobgpd with a passive neighbour for each peer of a plan; it announces nothing."""

    def __init__(
        self, directory: Path, peers: list[PlannedPeer], *, families: tuple[str, ...] = ("ipv4", "ipv6")
    ) -> None:
        self.port, self._api = free_port(), free_port()
        self._peers = peers
        self._file = directory / "gobgpd.toml"
        self._file.write_text(
            f'[global.config]\nas = {DAEMON_AS}\nrouter-id = "192.0.2.250"\nport = {self.port}\n'
            'local-address-list = ["127.0.0.1"]\n'
            '[global.apply-policy.config]\ndefault-export-policy = "reject-route"\n'
            + "".join(self._neighbour(peer, families) for peer in peers)
        )

    @staticmethod
    def _neighbour(peer: PlannedPeer, families: tuple[str, ...]) -> str:
        text = (
            f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "{peer.source}"\npeer-as = {peer.asn}\n'
            "[neighbors.transport.config]\npassive-mode = true\n[neighbors.ebgp-multihop.config]\nenabled = true\n"
        )
        for family in families:
            text += f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}-unicast"\n'
        return text

    def __enter__(self) -> Gobgpd:
        command = [program("gobgpd"), "-f", str(self._file), "--api-hosts", f"127.0.0.1:{self._api}", "--pprof-disable"]
        self._running = running(command, self._file.with_suffix(".log"))
        self._running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    def knows_peers(self) -> bool:
        """Whether it has read its configuration, and listens."""
        command = [program("gobgp"), "-p", str(self._api), "neighbor"]
        told = subprocess.run(command, capture_output=True, text=True).stdout
        return all(peer.source in told for peer in self._peers)

    def ask(self, *words: str) -> Any:
        command = [program("gobgp"), "-p", str(self._api), "-j", *words]
        answer = subprocess.run(command, capture_output=True, text=True).stdout
        # Without a session its answer is a sentence or {"error": ...}.
        return json.loads(answer) if answer.startswith("{") and not answer.startswith('{"error"') else {}

    def table(self) -> Table:
        table: Table = {}
        for peer in self._peers:
            for family in ("ipv4", "ipv6"):
                routes = self.ask("neighbor", peer.source, "adj-in", "-a", family)
                # Withdrawn prefixes are still listed, without a path.
                table |= {(peer.address, key): self._route(paths[0]["attrs"]) for key, paths in routes.items() if paths}
        return table

    @staticmethod
    def _route(attributes: list[JsonObject]) -> Route:
        by_type = {attribute["type"]: attribute for attribute in attributes}
        hops = tuple(asn for segment in by_type[2]["as_paths"] for asn in segment["asns"])
        communities = by_type.get(8, {}).get("communities", [])
        return Route(
            hops,
            ("igp", "egp", "incomplete")[by_type[1]["value"]],
            by_type.get(4, {}).get("metric", 0),
            frozenset(f"{value >> 16}:{value & 0xFFFF}" for value in communities),
        )


class Bird:
    """A BIRD with a passive protocol for each peer of a plan."""

    def __init__(self, directory: Path, peers: list[PlannedPeer]) -> None:
        self.port = free_port()
        self._peers = peers
        self._directory = directory
        channels = "".join(f" {family} {{ import all; export none; }};" for family in ("ipv4", "ipv6"))
        (directory / "bird.conf").write_text(
            "router id 192.0.2.250;\nprotocol device { }\n"
            f"template bgp peer {{ local 127.0.0.1 port {self.port} as {DAEMON_AS}; multihop; passive;{channels} }}\n"
            + "".join(
                f"protocol bgp p{number} from peer {{ neighbor {peer.source} as {peer.asn}; }}\n"
                for number, peer in enumerate(peers)
            )
        )

    def __enter__(self) -> Bird:
        command = [program("bird"), "-f", "-c", str(self._directory / "bird.conf"), "-s", self._control]
        self._running = running(command, self._directory / "bird.log")
        self._running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    @property
    def _control(self) -> str:
        return str(self._directory / "bird.ctl")

    def table(self) -> Table:
        table: Table = {}
        for number, peer in enumerate(self._peers):
            command = [program("birdc"), "-s", self._control, "show", "route", "protocol", f"p{number}", "all"]
            answer = subprocess.run(command, capture_output=True, text=True).stdout
            # A route is a line that begins with its prefix, and lines with its attributes, which are indented.
            for entry in re.split(r"\n(?=\S+/\d+ )", answer)[1:]:
                table[peer.address, entry.split()[0]] = self._route(dict(re.findall(r"BGP\.(\w+): (.*)", entry)))
        return table

    @staticmethod
    def _route(attributes: dict[str, str]) -> Route:
        return Route(
            tuple(int(asn) for asn in attributes["as_path"].split()),
            attributes["origin"].lower(),
            int(attributes.get("med", 0)),
            frozenset(f"{one}:{two}" for one, two in re.findall(r"\((\d+),(\d+)\)", attributes.get("community", ""))),
        )


@asynccontextmanager
async def playing(*arguments: Any, **settings: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A replay that runs during the block, and is cancelled if it has not ended by then."""
    task = asyncio.create_task(play(*arguments, **settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("kind", [Gobgpd, Bird])
async def test_a_daemon_has_the_routes_of_the_file(tmp_path: Path, kind: type[Gobgpd | Bird]) -> None:
    peers, expected = plan(DEMO), table_of_file(DEMO)
    with kind(tmp_path, peers) as daemon:
        async with playing(DEMO, ("127.0.0.1", daemon.port), peers, peer_as=DAEMON_AS, stay=True) as task:
            await until(lambda: task.done() or daemon.table() == expected, what="the daemon's table is the file's")
            assert not task.done()
        await until(lambda: daemon.table() == {}, what="the routes go with their sessions")


async def test_real_files_are_replayed_into_gobgpd(tmp_path: Path) -> None:
    file = shared("mrt/updates.20160811.1600.gz")
    # bgpdump reads these five peers' tables at the end of the file; their sessions stay up all the time.
    peers = [peer for peer in plan(file) if peer.updates > 800]
    addresses = {peer.address for peer in peers}
    lines = {key: route for key, route in table_of_file(file).items() if key[0] in addresses}
    with Gobgpd(tmp_path, peers) as daemon:
        async with playing(file, ("127.0.0.1", daemon.port), peers, stay=True) as task:
            await until(lambda: task.done() or daemon.table() == lines, what="the daemon's table is the file's")
            assert not task.done()


async def refusal(daemon: Gobgpd, peers: list[PlannedPeer], **settings: Any) -> ReplayError:
    with pytest.raises(ReplayError) as caught:
        await play(DEMO, ("127.0.0.1", daemon.port), peers, **settings)
    return caught.value


async def test_a_daemon_that_expects_another_as_of_the_peer_is_reported(tmp_path: Path) -> None:
    peers = plan(DEMO)
    others = [peers[0], replace(peers[1], asn=65000), peers[2]]
    refused: list[ReplayError] = []
    with Gobgpd(tmp_path, others) as daemon:
        await play(DEMO, ("127.0.0.1", daemon.port), peers, refused=refused.append)
    (error,) = refused
    assert "peer 192.0.2.2 AS64497 (from 127.0.1.2)" in error.cause
    assert "OPEN Message Error / Bad Peer AS" in error.cause
    assert "127.0.1.2 with AS 64497" in error.cure


async def test_a_daemon_with_another_as_than_asked_for_is_reported(tmp_path: Path) -> None:
    with Gobgpd(tmp_path, plan(DEMO)) as daemon:
        error = await refusal(daemon, plan(DEMO), peer_as=65000)
    assert f"the daemon has AS {DAEMON_AS}, not 65000" in error.cause


async def test_a_daemon_without_a_family_of_the_file_is_reported(tmp_path: Path) -> None:
    peers = plan(DEMO, only_peer="2001:db8::3")
    with Gobgpd(tmp_path, peers, families=("ipv4",)) as daemon:
        error = await refusal(daemon, peers)
    assert "does not offer: family ipv6 unicast" in error.cause


async def test_a_daemon_that_does_not_know_one_of_the_peers_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "_PATIENCE_AT_START", 2.0)
    peers = plan(DEMO)
    refused: list[ReplayError] = []
    with Gobgpd(tmp_path, peers[:2]) as daemon:
        await until(daemon.knows_peers)
        summary = await play(DEMO, ("127.0.0.1", daemon.port), peers, refused=refused.append)
    assert (summary.peers, summary.messages) == (2, 64)
    assert "peer 2001:db8::3 AS65551 (from 127.0.1.3)" in refused[0].cause


def command(*arguments: object) -> list[str]:
    code = "from collector.cli import main; main()"
    return [sys.executable, "-c", code, "replay", *(str(argument) for argument in arguments)]


async def test_the_command_reports_what_it_sent(tmp_path: Path) -> None:
    with Gobgpd(tmp_path, plan(DEMO)) as daemon:
        done = subprocess.run(
            command(DEMO, "--to", f"127.0.0.1:{daemon.port}", "--peer-as", DAEMON_AS), capture_output=True, text=True
        )
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"played 80 messages of 3 peers in \d+\.\d s: \d+/s\n", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_ends_quietly_when_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    expected = table_of_file(DEMO)
    with Gobgpd(tmp_path, plan(DEMO)) as daemon:
        started = command(DEMO, "--to", f"127.0.0.1:{daemon.port}", "--stay")
        with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            await until(lambda: daemon.table() == expected, what="the feed is in")
            process.send_signal(number)
            output, _ = process.communicate(timeout=300)
            assert (process.returncode, output) == (130, b"")
        # gobgpd shows the last NOTIFICATION: Cease / Administrative Shutdown.
        assert '"Code":6' in (log := (tmp_path / "gobgpd.log").read_text())
        assert log.count('"Subcode":2') == 3


# --- into a collector ----------------------------------------------------------------------------------------------


async def test_peers_that_the_collector_does_not_know_are_left_out(data_dir: Path) -> None:
    with collecting(data_dir, peers=[("127.0.1.2", 64497)]) as collector:
        await collector.until_up()
        done = await asyncio.to_thread(bgpledger, "replay", str(DEMO), "--to", collector.target)
        assert done.returncode == 1, done.stderr
        assert "played 24 messages of 1 peers" in done.stderr
        assert "not played: peer 192.0.2.1 AS64496 (from 127.0.1.1)" in done.stderr
        assert "2 of 3 peers were not played" in done.stderr
        await collector.until_played(1)
        stored = {peer["address"]: peer["updates"] for peer in await asyncio.to_thread(collector.ask, "peers")}
        assert stored["127.0.1.2"] == 24


async def test_the_example_of_the_readme_works(data_dir: Path) -> None:
    """It is run as printed, except for the path of the file, the data directory and the port."""
    file = shared("mrt/updates.20160811.1600.gz")
    block = re.search(r"```\n(bgpledger replay \S+ --plan\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    planned, run, played = (shlex.split(line)[1:] for line in block[1].splitlines())
    assert planned[1] == played[1] == file.name
    peers = [tuple(value.split(",")) for option, value in pairwise(run) if option == "--peer"]
    lines = bgpledger("replay", str(file), *planned[2:]).stdout.splitlines()
    by_source = {one["source"]: one for one in map(json.loads, lines)}
    with collecting(data_dir, *run[1:]) as collector:
        await collector.until_up()
        assert played[2:] == ["--to", "127.0.0.1:1790"]
        done = await asyncio.to_thread(bgpledger, "replay", str(file), "--to", collector.target)
        assert f"{len(lines) - len(peers)} of {len(lines)} peers were not played" in done.stderr
        await collector.until_played(len(peers))
        stored = {peer["address"]: peer for peer in await asyncio.to_thread(collector.ask, "peers")}
        for source, asn in peers:
            assert by_source[source]["asn"] == stored[source]["asn"] == int(asn)
            assert stored[source]["updates"] == by_source[source]["updates"] > 0
