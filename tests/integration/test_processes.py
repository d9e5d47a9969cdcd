"""Several ExaBGP processes in one collector: one archive, and the death of one process affects no other."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import NamedTuple

from bson import ObjectId

from collector.instances import Instance
from collector.sources.exabgp.files import configuration_file
from collector.spool.spool import inspect
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from schemas.json_object import JsonObject
from schemas.keys import collector_number, instance_name, key_collector
from schemas.stored import SessionDocument
from tests.running import Collector, bgpledger, collecting, free_port, processes, router
from tests.support import ROOT, Router, until

FEED = ROOT / "collector/data/demo.mrt.gz"


class Peer(NamedTuple):
    """One of the feed's routers, and our address to which it connects."""

    name: str
    source: str
    asn: int
    local: str
    updates: int


ONE = Peer("192.0.2.1", "127.0.1.1", 64496, "127.0.0.1", 40)
TWO = Peer("192.0.2.2", "127.0.1.2", 64497, "127.0.0.2", 24)
THREE = Peer("2001:db8::3", "127.0.1.3", 65551, "127.0.0.3", 16)


def configuration(file: Path, *peers: Peer) -> None:
    blocks = [
        f'[[peers]]\naddress = "{peer.source}"\nasn = {peer.asn}\nlocal_address = "{peer.local}"\npassive = true\n'
        for peer in peers
    ]
    file.write_text("\n".join(["collector = 'here'\n[exabgp]\nprocesses = 2\n", *blocks]))


async def complete_peer(collector: Collector, peer: Peer) -> JsonObject | None:
    """The state of the peer, once it is up and all of its routes are there."""
    for found in await asyncio.to_thread(collector.ask, "peers"):
        if found["address"] == peer.source and found["state"] == "up" and found["updates"] == peer.updates:
            return found
    return None


async def is_down(collector: Collector, peer: Peer) -> bool:
    found = await asyncio.to_thread(collector.ask, "peers")
    return any(one["address"] == peer.source and one["state"] == "down" for one in found)


def kill(collector: Collector, ending: str) -> None:
    """Kill -9 the process whose command line ends so, after the data directory."""
    (pid,) = processes(f"{re.escape(str(collector.data_dir))}{ending}$")
    os.kill(pid, signal.SIGKILL)


def verified(collector: Collector) -> JsonObject:
    done = bgpledger("--data-dir", str(collector.data_dir), "verify", "--format", "json")
    found: JsonObject = json.loads(done.stdout)
    assert (done.returncode, found["findings"]) == (0, []), done.stderr
    return found


async def keys(collector: Collector) -> list[tuple[str, ObjectId]]:
    async with Store.open(collector.uri) as store:
        return [
            (one["collector"], one["_id"])
            for name in ("updates", "messages", "sessions")
            async for one in store.find(name, {}, fields=("collector",))
        ]


async def test_two_processes_make_one_archive(data_dir: Path, tmp_path: Path) -> None:
    """A reload moves no peer to another process; a process that dies ends no session but its own."""
    config, port = tmp_path / "collector.toml", free_port()
    configuration(config, ONE, TWO)
    instances = [Instance(data_dir, number) for number in range(2)]
    with collecting(data_dir, "--config", str(config), port=port) as collector:
        await collector.until_up()
        with router(FEED, ONE.name, f"{ONE.local}:{collector.port}"):
            with router(FEED, TWO.name, f"{TWO.local}:{collector.port}"):
                before = (
                    await until(lambda: complete_peer(collector, ONE)),
                    await until(lambda: complete_peer(collector, TWO)),
                )

                async def is_all_there() -> bool:  # a KEEPALIVE may come in between
                    read = (await collector.until_idle())["read"]
                    spools = [inspect(instance.spool).read for instance in instances]
                    assert all(spool > peer.updates for spool, peer in zip(spools, (ONE, TWO), strict=True))
                    return bool(read == sum(spools) == verified(collector)["documents"])

                await until(is_all_there)
                found = await keys(collector)
                assert {name for name, _ in found} == {"here"}
                numbers = {collector_number(instance_name("here", instance.label)) for instance in instances}
                assert {key_collector(key) for _, key in found} == numbers
                configuration(config, THREE, TWO, ONE)
                collector.process.send_signal(signal.SIGHUP)
                with router(FEED, THREE.name, f"{THREE.local}:{collector.port}"):
                    await until(lambda: complete_peer(collector, THREE))
                assert THREE.source in configuration_file(instances[0]).read_text()
                assert [(await complete_peer(collector, peer) or {}).get("since") for peer in (ONE, TWO)] == [
                    one["since"] for one in before
                ]

                kill(collector, "/exabgp-1.conf")
                await until(lambda: is_down(collector, TWO))
            with router(FEED, TWO.name, f"{TWO.local}:{collector.port}"):
                await until(lambda: complete_peer(collector, TWO))
                kill(collector, " --instance 1")
            with router(FEED, TWO.name, f"{TWO.local}:{collector.port}"):
                await until(lambda: complete_peer(collector, TWO))
            assert (await complete_peer(collector, ONE) or {}).get("since") == before[0]["since"]
            await collector.until_idle()
            assert verified(collector)["sessions"] >= 4


async def test_lines_of_a_removed_process_are_archived_and_its_sessions_end(data_dir: Path) -> None:
    """Two processes were killed with the machine; now there is one."""
    before = Router()
    lines = [*before.up(), before.announce("203.0.113.0/24"), before.announce("192.0.2.0/24")]
    with SpoolWriter(Instance(data_dir, 1).spool) as writer:
        writer.write(b"".join(line + b"\n" for line in lines))
    configuration_file(Instance(data_dir, 1)).write_text("of before")
    with collecting(data_dir) as collector:
        await collector.until_up()

        async def ended() -> list[SessionDocument]:
            async with Store.open(collector.uri) as store:
                return [one async for one in store.find("sessions", {"ended_by": "collector"})]

        (session,) = await until(ended)
        assert (session["peer"]["address"], session["updates"]) == (before.address, 2)

        async def is_all_there() -> bool:  # a line of the receiver's may come in between
            read: int = (await collector.until_idle())["read"]
            return bool(verified(collector)["documents"] == read >= len(lines) + 3)

        await until(is_all_there)
        assert not configuration_file(Instance(data_dir, 1)).exists()
