"""The embedded store as a real process: started, stopped, killed, orphaned, and already running."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from collector.errors import StoreError
from collector.store import credentials, embedded, embedded_first_start, embedded_process
from collector.store.embedded_process import Home, serve
from collector.store.mongo import Store
from tests import stores
from tests.support import until

ORPHAN_MAKER = """
import asyncio, sys, time
from pathlib import Path
from collector.store import embedded
print(asyncio.run(embedded.start(Path(sys.argv[1]))).pid, flush=True)
time.sleep(600)
"""


def modes(data_dir: Path) -> dict[str, int]:
    return {
        str(path.relative_to(data_dir)): stat.S_IMODE(path.stat().st_mode)
        for path in [data_dir / "store.json", data_dir / "store", data_dir / "log", data_dir / "log" / "store.log"]
    }


async def ids(uri: str) -> list[int]:
    async with AsyncMongoClient[dict[str, int]](uri) as client:
        return [found["_id"] async for found in client["test"]["things"].find()]


async def insert(uri: str, number: int) -> None:
    async with AsyncMongoClient[dict[str, int]](uri, w="majority", journal=True) as client:
        await client["test"]["things"].insert_one({"_id": number})


@pytest.fixture
def used_dir(data_dir: Path) -> Path:
    """A data directory whose store had its first start before."""
    stores.put_store(data_dir)
    return data_dir


async def test_starts_keeps_and_stops(data_dir: Path) -> None:
    store = await embedded.start(data_dir)
    assert store.address.startswith("mongodb://127.0.0.1:")
    assert json.loads((data_dir / "store.json").read_text())["pid"] == store.pid
    assert modes(data_dir) == {"store.json": 0o600, "store": 0o700, "log": 0o700, "log/store.log": 0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data_dir / "store").iterdir()} == {0o600}
    assert os.getsid(store.pid) == store.pid  # Ctrl-C at our terminal does not reach it
    await insert(store.uri, 1)
    await store.stop()
    assert store.process.returncode == 0
    assert not (data_dir / "store.json").exists()

    again = await embedded.start(data_dir)
    assert await ids(again.uri) == [1]
    await again.stop()


async def test_asks_for_a_password_that_our_commands_find(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    store = await embedded.start(data_dir)
    password = (data_dir / "store.password").read_text()
    assert stat.S_IMODE((data_dir / "store.password").stat().st_mode) == 0o600
    assert password not in store.address
    for place in ("cmdline", "environ"):
        assert password not in Path(f"/proc/{store.pid}/{place}").read_text()
    with pytest.raises(OperationFailure, match="requires authentication"):
        await ids(store.address)
    for address in (store.address, store.address.replace("127.0.0.1", "localhost").replace("/?", "/test?")):
        async with Store.open(address, database="test") as opened:
            assert [one async for one in opened.find("updates", {})] == []
            assert opened.shown_uri == address
    await store.stop()
    assert credentials.options_for(store.address) == {}


async def test_takes_over_a_store_that_asks_nobody(data_dir: Path) -> None:
    """As one of bgpledger 0.1; or one whose password is lost."""
    place = Home(embedded.find_program(None), data_dir)
    for directory in (data_dir / "store", place.log.parent):
        directory.mkdir(parents=True)
    (data_dir / "store.toml").write_text("")
    open_to_all = await serve(place, 0, None)
    assert open_to_all is not None
    await insert(open_to_all.uri, 1)
    async with AsyncMongoClient[dict[str, int]](open_to_all.uri) as client:
        await client["test"].command("createUser", "somebody", pwd="theirs", roles=["root"])
    await open_to_all.stop()

    store = await embedded.start(data_dir)
    assert await ids(store.uri) == [1]
    login = store.address.replace("//", "//somebody:theirs@").replace("?", "test?")
    with pytest.raises(OperationFailure, match=r"[Aa]uthentication"):
        await ids(login)
    await store.stop()

    (data_dir / "store.password").write_text("another")
    again = await embedded.start(data_dir)
    assert again.uri != store.uri
    assert await ids(again.uri) == [1]
    await again.stop()


async def test_comes_back_at_the_same_uri_after_kill_9(used_dir: Path) -> None:
    first = await embedded.start(used_dir)
    await insert(first.uri, 1)
    first.process.kill()
    first.process.wait()
    second = await embedded.start(used_dir)
    assert second.uri == first.uri
    assert await ids(second.uri) == [1]
    await second.stop()


async def test_takes_another_port_when_its_own_is_taken(used_dir: Path) -> None:
    first = await embedded.start(used_dir)
    first.process.kill()
    first.process.wait()
    with socket.create_server(("127.0.0.1", int(first.uri.partition("/?")[0].rpartition(":")[2]))):
        second = await embedded.start(used_dir)
        assert second.uri != first.uri
        await second.stop()


async def test_dies_with_a_killed_owner_and_is_no_obstacle(used_dir: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", ORPHAN_MAKER, used_dir], stdout=subprocess.PIPE)
    assert owner.stdout
    orphan = os.pidfd_open(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    store = await embedded.start(used_dir)
    assert select.select([orphan], [], [], 0)[0]  # it has ended
    os.close(orphan)
    assert await ids(store.uri) == []
    await store.stop()


async def test_an_orphan_that_hangs_is_ended_by_force(used_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_process, "_STOP_SECONDS", 0.5)
    owner = subprocess.Popen([sys.executable, "-c", ORPHAN_MAKER, used_dir], stdout=subprocess.PIPE)
    assert owner.stdout
    os.kill(int(owner.stdout.readline()), signal.SIGSTOP)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    store = await embedded.start(used_dir)
    assert await ids(store.uri) == []
    await store.stop()


async def test_leaves_the_store_of_a_living_collector_alone(used_dir: Path) -> None:
    store = await embedded.start(used_dir)
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        await embedded.start(used_dir)
    assert await ids(store.uri) == []
    await store.stop()


async def test_a_stale_or_damaged_state_file_is_no_obstacle(used_dir: Path) -> None:
    for stale in (b"", b"{}", b'{"pid": 1, "owner": 1, "port": 0, "uri": ""}'):
        (used_dir / "store.json").write_bytes(stale)
        store = await embedded.start(used_dir)
        await store.stop()


async def test_two_at_a_time_on_directories_of_their_own(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(embedded.start(tmp_path / name) for name in "ab"))
    assert stores[0].uri != stores[1].uri
    for store in stores:
        await store.stop()


async def test_takes_no_configuration_from_home(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = data_dir.with_name("home")
    (home / ".secantus").mkdir(parents=True)
    (home / ".secantus" / "secantusd.toml").write_text("[server]\nport = 'nonsense'\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / ".secantus")
    store = await embedded.start(data_dir)
    await store.stop()


async def test_starts_though_it_is_killed_while_it_does(data_dir: Path) -> None:
    starting = asyncio.create_task(embedded.start(data_dir))
    state = data_dir / "store.json"
    await until(state.exists, what="it is started")
    killed = json.loads(state.read_bytes())["pid"]
    os.kill(killed, signal.SIGKILL)
    store = await starting
    assert store.pid != killed
    assert await ids(store.uri) == []
    await store.stop()


async def test_a_first_start_that_was_broken_off_is_begun_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(embedded_first_start, "_make_tables", broken_off)
        with pytest.raises(KeyboardInterrupt):
            await embedded.start(data_dir)
    (data_dir / "store" / "WiredTiger.turtle").write_text("as if it was killed at the worst moment")
    store = await embedded.start(data_dir)
    made = tables(data_dir)
    await insert(store.uri, 1)
    assert len(made) == 16
    assert tables(data_dir) == made, "no table is made later, when killing it would cost all"
    await store.stop()


async def broken_off(_client: object) -> None:
    """As a signal does."""
    raise KeyboardInterrupt


def tables(data_dir: Path) -> list[str]:
    """Files of the tables with documents."""
    return sorted(path.name for path in (data_dir / "store").glob("secantus_documents_*"))


async def test_says_why_it_does_not_start(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "store").write_text("not a directory")
    with pytest.raises(StoreError, match="store: File exists"):
        await embedded.start(data_dir)
    (data_dir / "store").unlink()
    (data_dir / "store").mkdir()
    (data_dir / "store" / "WiredTiger.turtle").write_text("damaged")
    with pytest.raises(StoreError, match="does not start: ") as refused:
        await embedded.start(data_dir)
    assert str(data_dir / "log" / "store.log") in refused.value.cure


async def test_names_the_cure_when_it_is_not_installed(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(data_dir / "bin" / "python"))
    with pytest.raises(StoreError, match="not installed") as refused:
        await embedded.start(data_dir)
    assert 'pip install "bgpledger[embedded]"' in refused.value.cure
