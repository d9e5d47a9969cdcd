"""ExaBGP reads its configuration again, and counts from 1: no session ends, and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.integration.test_processes import FEED, ONE, THREE, TWO, Peer, complete_peer, is_down, verified
from tests.running import collecting, free_port, router
from tests.support import until


def configuration(file: Path, *peers: Peer) -> None:
    blocks = [
        f'[[peers]]\naddress = "{peer.source}"\nasn = {peer.asn}\nlocal_address = "{peer.local}"\npassive = true\n'
        for peer in peers
    ]
    file.write_text("\n".join(["collector = 'here'", *blocks]))


async def test_an_old_peer_that_reconnects_after_a_reload_ends_no_other_session(data_dir: Path, tmp_path: Path) -> None:
    config, port = tmp_path / "collector.toml", free_port()
    configuration(config, ONE, TWO)
    with collecting(data_dir, "--config", str(config), port=port) as collector:
        await collector.until_up()
        with router(FEED, TWO.name, f"{TWO.local}:{collector.port}"):
            with router(FEED, ONE.name, f"{ONE.local}:{collector.port}"):
                await until(lambda: complete_peer(collector, ONE), what="the first peer is up")
                before = await until(lambda: complete_peer(collector, TWO), what="the second peer is up")
            await until(lambda: is_down(collector, ONE), what="the first peer has gone")
            configuration(config, ONE, TWO, THREE)
            collector.process.send_signal(signal.SIGHUP)
            with router(FEED, THREE.name, f"{THREE.local}:{collector.port}"):
                await until(lambda: complete_peer(collector, THREE), what="the third peer, which is new, is up")
                with router(FEED, ONE.name, f"{ONE.local}:{collector.port}"):
                    await until(lambda: complete_peer(collector, ONE), what="the first peer is up again")
                    after = await until(lambda: complete_peer(collector, TWO), what="the second one still stands")
            assert (after["since"], after["routes"]) == (before["since"], before["routes"])
            status = await collector.until_idle()
            assert (status["gaps"], status["lost"]) == (0, 0)
            told = [path.read_bytes().count(b'"event": "reload"') for path in (data_dir / "spool").glob("*.jsonl")]
            assert sum(told) == 1, "our receiver has told of it"
            verified(collector)
