"""The acting process at its socket, with a relay and a spool that the test plays (collector/acting/process.py)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from collector.acting.client import ActingClient
from collector.acting.journal import Journal
from collector.acting.process import Acting
from collector.instances import Instance
from collector.settings.model import Settings
from collector.sources.exabgp.files import acting_socket
from collector.sources.exabgp.relay import hello
from collector.spool.segment import path_of
from schemas.intents import Order
from tests.support import until

PEER, PREFIX = "192.0.2.1", "203.0.113.0/24"
BY: dict[str, Any] = {"who": "test", "why": "to see it", "source": "cli"}


class PlayedExabgp:
    """What ExaBGP and its relay do, played by the test."""

    def __init__(self, data_dir: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.client = ActingClient(data_dir)
        self._spool = Instance(data_dir, 0).spool
        self._reader, self._writer = reader, writer

    async def command(self) -> str:
        """The next command."""
        return (await self._reader.readline()).decode().strip()

    def answer(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\n" for line in lines).encode())

    def list_peers(self, state: str) -> None:
        """Answer `show neighbor json`, with what we need of ExaBGP's answer."""
        self.answer(json.dumps([{"fsm": state, "peer": {"address": PEER}, "families": ["ipv4 unicast"]}]), "done")

    def write(self, state: str) -> None:
        """Have the receiver write that the session is in this state."""
        neighbor = {
            "address": {"local": "192.0.2.9", "peer": PEER},
            "asn": {"local": 65000, "peer": 65001},
            "state": state,
        }
        line = {"exabgp": "5.0.0", "time": 1.5e9, "host": "h", "pid": 1, "ppid": 1, "counter": 1, "type": "state"}
        self._spool.mkdir(parents=True, exist_ok=True)
        with path_of(self._spool, 0).open("a") as file:
            file.write(json.dumps({**line, "neighbor": neighbor}) + "\n")

    async def state(self) -> str:
        """The state of the only intent."""
        (intent,) = await self.client.intents(ended=True)
        return intent.state


@asynccontextmanager
async def playing(data_dir: Path) -> AsyncIterator[tuple[Acting, PlayedExabgp]]:
    """An acting process, to which a relay has just connected."""
    settings = Settings.model_validate(
        {
            "data_dir": data_dir,
            "bgp": {"local_as": 65000, "router_id": "10.0.0.1"},
            "peers": [{"address": PEER, "asn": 65001}],
            "announce": {"prefixes": [f"{PREFIX} le 25"]},
        }
    )
    assert settings.announce is not None
    stopping = asyncio.Event()
    with Journal(data_dir / "acting.jsonl") as journal:
        acting = Acting(settings, settings.announce, journal)
        running = asyncio.create_task(acting.run(stopping))
        path = acting_socket(data_dir)
        await until(path.exists, what="the socket")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(hello(0, "1"))
        try:
            yield acting, PlayedExabgp(data_dir, reader, writer)
        finally:
            writer.close()
            stopping.set()
            await running


async def test_a_session_that_comes_up_while_exabgp_lists_its_peers_is_up(tmp_path: Path) -> None:
    async with playing(tmp_path) as (acting, exabgp):
        assert await exabgp.command() == "show neighbor json"
        exabgp.write("up")
        await until(lambda: acting._scheduler.instance_of(PEER) == 0, what="the session is known")
        exabgp.list_peers("OPENSENT")  # it listed them just before
        await exabgp.client.announce(Order.model_validate({**BY, "announcements": [{"prefix": PREFIX}]}))
        assert (await exabgp.command()).startswith(f"neighbor {PEER} announce ")
        exabgp.answer("done")
        await until(partial(_is, exabgp, "accepted"), what="accepted")
        assert acting._scheduler.is_waiting  # for the UPDATE, which is not sent to a peer that is down
        exabgp.write("down")
        await until(lambda: not acting._scheduler.is_waiting, what="the session has ended")


async def test_exabgp_is_asked_again_for_its_peers_if_it_cannot_list_them(tmp_path: Path) -> None:
    async with playing(tmp_path) as (_, exabgp):
        await exabgp.client.announce(Order.model_validate({**BY, "announcements": [{"prefix": PREFIX}]}))
        assert await exabgp.command() == "show neighbor json"
        exabgp.answer("error")
        assert await exabgp.command() == "show neighbor json"
        exabgp.list_peers("IDLE")
        assert (await exabgp.command()).startswith(f"neighbor {PEER} announce ")
        exabgp.answer("done")
        await until(partial(_is, exabgp, "accepted"), what="accepted")


async def test_everything_is_resent_only_once_exabgp_has_answered(tmp_path: Path) -> None:
    async with playing(tmp_path) as (acting, exabgp):
        assert await exabgp.command() == "show neighbor json"
        exabgp.list_peers("IDLE")
        for half in ("203.0.113.0/25", "203.0.113.128/25"):
            await exabgp.client.announce(Order.model_validate({**BY, "announcements": [{"prefix": half}]}))
            acting._scheduler.to_flush.add(PEER)
            acting._flush()
            assert (await exabgp.command()).startswith(f"neighbor {PEER} announce ")
        exabgp.answer("done", "done")
        assert await exabgp.command() == f"neighbor {PEER} flush adj-rib out"
        exabgp.answer("error")


async def _is(exabgp: PlayedExabgp, state: str) -> bool:
    return await exabgp.state() == state
