"""The HTTP server as a collector runs it, on a port of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from pathlib import Path

import httpx

from tests.running import BGPLEDGER, collecting, free_port
from tests.support import until


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/health")).status_code == 200
        except httpx.TransportError:
            return False


async def test_a_collector_answers_over_http(data_dir: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    with collecting(data_dir, "--http", listen, peers=[("127.0.1.1", 64496)]) as collector:
        await until(lambda: answers(f"http://{listen}"))
        await until(lambda: f"http://{listen}/" in collector.log.read_text())
        async with httpx.AsyncClient(base_url=f"http://{listen}", timeout=120) as client:
            assert (await client.get("/ready")).status_code == 200
            peers = (await client.get("/api/v1/peers")).json()["answers"]
            assert [(peer["address"], peer["state"]) for peer in peers] == [("127.0.1.1", "never")]
            assert "127.0.1.1" in (await client.get("/")).text
            asked = {"PATH": os.environ["PATH"], "BGPLEDGER_DATA_DIR": str(data_dir)}

            async def by_command() -> bool:
                """Whether the server has answered a command: a command that has waited too long answers by itself."""
                words = [BGPLEDGER, "peers", "--format", "json"]
                said = await asyncio.to_thread(subprocess.check_output, words, env=asked)
                assert json.loads(said) == peers
                return 'bgpledger_http_requests_total{path="/command"' in (await client.get("/metrics")).text

            await until(by_command)
        assert "Traceback" not in collector.log.read_text()


async def test_a_taken_port_does_not_keep_a_collector_from_archiving(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with collecting(data_dir, "--http", listen) as collector:
            await collector.until_up()
            await until(
                lambda: f"cannot be served at {listen}: another program listens there" in collector.log.read_text()
            )
            assert "archiving goes on" in collector.log.read_text()
            assert collector.status()["state"] == "running"
            taken.close()
            await until(lambda: answers(f"http://{listen}"))
