"""Every command finds the store of a running collector by its data directory alone."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

import pytest

from collector.query.stopped_archive import opened
from collector.store import credentials
from collector.store.uri import redact
from tests.running import BGPLEDGER, bgpledger, collecting, free_port
from tests.support import until


async def test_a_store_is_found_that_only_the_configuration_names(
    data_dir: Path, tmp_path: Path, embedded_uri: str
) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(f'[mongodb]\nuri = "{embedded_uri}"\ndatabase = "elsewhere"\n')
    with collecting(data_dir, "--config", str(config), own_store=False) as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        status = collector.status()
        assert status["mongodb_uri"] == redact(embedded_uri)
        assert "SecantusDB" in status["store"]
        assert embedded_uri not in (data_dir / "run.json").read_text()


async def test_an_embedded_store_is_found_with_another_database_name(data_dir: Path) -> None:
    with collecting(data_dir, BGPLEDGER_MONGODB_DATABASE="elsewhere") as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        done = bgpledger("history", "10.0.0.0/8", BGPLEDGER_DATA_DIR=str(data_dir))
        assert done.returncode == 0, done.stderr


async def test_an_embedded_store_is_found_that_runs_another_program(data_dir: Path, tmp_path: Path) -> None:
    server = tmp_path / "another-server"
    server.symlink_to(Path(sys.executable).with_name("secantusd-py"))
    with collecting(data_dir, BGPLEDGER_MONGODB_EMBEDDED=str(server)) as collector:
        await collector.until_up()
        assert collector.ask("peers") == []
        pid = json.loads((data_dir / "store.json").read_text())["pid"]
        assert str(server) in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        done = bgpledger("doctor", BGPLEDGER_DATA_DIR=str(data_dir), BGPLEDGER_MONGODB_EMBEDDED=str(server))
        assert "store: embedded, another-server" in done.stdout


async def test_an_archive_without_a_running_collector_is_opened(data_dir: Path) -> None:
    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return bgpledger("--data-dir", str(data_dir), *words)

    with collecting(data_dir) as collector:
        await collector.until_up()
    asked = [asyncio.to_thread(ask, *words) for words in (("peers",), ("history", "10.0.0.0/8"), ("db", "migrate"))]
    for done in await asyncio.gather(*asked):  # the commands wait for each other
        assert done.returncode == 0, done.stderr
    found = ask("status", "--format", "json")
    assert "no collector runs" in found.stderr
    assert "SecantusDB" in json.loads(found.stdout)["store"]
    assert not (data_dir / "store.json").exists()


async def test_commands_use_the_store_of_one_that_may_run_for_hours(data_dir: Path) -> None:
    (data_dir / "store").mkdir(parents=True)
    port = free_port()
    serving = subprocess.Popen([BGPLEDGER, "--data-dir", str(data_dir), "serve", "--listen", f"127.0.0.1:{port}"])
    try:
        await until(lambda: _answers(port))
        done = await asyncio.to_thread(bgpledger, "--data-dir", str(data_dir), "peers")
        assert (done.returncode, done.stderr) == (0, "no peer is configured, and none has ever had a session\n")
    finally:
        serving.terminate()
        assert await asyncio.to_thread(serving.wait) == 0
    assert not (data_dir / "store.shared").exists()


async def test_a_collector_does_not_wait_for_a_query(data_dir: Path) -> None:
    with collecting(data_dir) as collector:
        await collector.until_up()
    async with opened(data_dir, None) as uri:
        with collecting(data_dir) as collector:
            await collector.until_up()
            assert collector.ask("peers") == []
        assert credentials.options_for(uri) == {}  # the store that the query had started was ended


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed, and only root becomes one")
async def test_another_user_is_told_whom_to_ask_as(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as place, collecting(Path(place) / "data") as collector:
        Path(place).chmod(0o755)
        data_dir = collector.data_dir
        await collector.until_up()
        address = credentials.unsigned(collector.uri)

        def other(**environment: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", AS_NOBODY, *("peers", "--data-dir", str(data_dir))],
                capture_output=True,
                text=True,
                check=False,
                env={"PATH": os.environ["PATH"], **environment},
            )
            assert done.returncode == 1
            return done.stderr

        for said in (other(), other(BGPLEDGER_MONGODB_URI=address)):
            assert "that of root" in said, said
            assert "cure: ask as root" in said


AS_NOBODY = """
import os, sys
from collector.cli import main  # before: nobody may not read this
import collector.cli.peers, collector.cli.run_query
import collector.query.stopped_archive, collector.store.mongo, collector.query.peers
import bgpledger, collector.present.formats, collector.settings, motor
os.setgid(65534)
os.setuid(65534)
main()
"""


def _answers(port: int) -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health") as answer:
        return bool(answer.status == HTTPStatus.OK)
    return False
