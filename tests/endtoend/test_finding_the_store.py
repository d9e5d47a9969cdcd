"""Every command finds the store of a running collector by its data directory alone."""

import json
import sys
from pathlib import Path

from collector.store.uri import redact
from tests.running import bgpledger, collecting


async def test_a_store_that_only_the_configuration_names(data_dir: Path, tmp_path: Path, embedded_uri: str) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(f'[mongodb]\nuri = "{embedded_uri}"\ndatabase = "elsewhere"\n')
    with collecting(data_dir, "--config", str(config)) as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        status = collector.status()
        assert status["mongodb_uri"] == redact(embedded_uri)
        assert "SecantusDB" in status["store"]
        assert embedded_uri not in (data_dir / "run.json").read_text()


async def test_an_embedded_store_under_another_name(data_dir: Path) -> None:
    with collecting(data_dir, BGPLEDGER_MONGODB_DATABASE="elsewhere") as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        done = bgpledger("history", "10.0.0.0/8", BGPLEDGER_DATA_DIR=str(data_dir))
        assert done.returncode == 0, done.stderr


async def test_an_embedded_store_of_another_program(data_dir: Path, tmp_path: Path) -> None:
    server = tmp_path / "another-server"
    server.symlink_to(Path(sys.executable).with_name("secantusd-py"))
    with collecting(data_dir, BGPLEDGER_MONGODB_EMBEDDED=str(server)) as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        pid = json.loads((data_dir / "store.json").read_text())["pid"]
        assert str(server) in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        done = bgpledger("doctor", BGPLEDGER_DATA_DIR=str(data_dir), BGPLEDGER_MONGODB_EMBEDDED=str(server))
        assert "store: embedded, another-server" in done.stdout
