"""The embedded store: SecantusDB, which speaks MongoDB's protocol, as a child process.

It is never imported (it is GPL-2.0), but started from the environment that this program runs in. Its makers have
another server for the same files and options, `secantusd-rs`, in Rust, which is five times as fast: see
docs/decisions/0012-secantusd-rs.md.

How it is run, and why (0.7.0b3; 1,000 documents of 1 kB a batch, w:majority and j:true, 2 cores, ext4 on a fast disk):

- `--standalone`: as a replica set of one it keeps an oplog, and a batch takes 37 ms, or 61 ms from the 100,000th
  document on, when it prunes as well; without, 23-25 ms, and 100 MB less of disk and memory. The price: no change
  streams.
- `--sync-on-commit`: secantusd-rs (0.5.3-beta.196) says that it did what j:true asks, and does it only with this: one
  fdatasync a batch, 0.2 ms. The one in Python does so anyway.
- batches of 250 lines (`archive.batch_lines`): with 1,000 a secantusd-rs whose cache is full tries one insert again and
  again, for minutes; the one in Python is as fast with either.
- `--cache-size 256M`: its resident size is 300 MB after one table of 600,000 routes. It grows with what it has been
  through: 1.5 GB after ten tables within minutes, and the one in Rust is like that.
- a file of ours for `--config`: or it would take a secantusd.toml from the working directory, the home or /etc. It
  asks for no TTL monitor, which 0.7.0b3 does not heed; see `collector.store.expiry`.

- `--auth`: it asks for a password, ours (`collector.store.credentials`). It has no user at first, and only one that
  asks for none makes users, so a data directory that is new, or of bgpledger 0.1, is opened without for a moment, at a
  port that nobody knows; whoever was quick enough to become a user meanwhile is removed. 12 ms for each connection.
- its tables are all made at the first start: killed while it makes one, it never starts again (WiredTiger: "cannot be
  used until all column groups are created"). A first start that was broken off begins with an empty directory again:
  nobody has been told of the store by then.

Limits: loopback only. It reads the whole collection for `$or`, for `$elemMatch` with a range and for equality on a
compound `_id`; equality, `$in`, ranges and sorts on an index are fast. Aggregations are slow. A SIGTERM right after its
start may be overlooked.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from collector.children import without_secrets
from collector.errors import StoreError
from collector.files import replacing
from collector.store import credentials

_ADDRESS = "127.0.0.1"
_START_SECONDS = 120.0
"""After a crash it replays its journal before it answers."""
_STOP_SECONDS = 15.0
_ATTEMPTS = 5
_AUTHENTICATION_FAILED, _USER_EXISTS = 18, 51003
_TABLES = 16
_SCRATCH, _NAMES_FOR_ALL_TABLES = "bgpledger_first_start", 200
_SETTINGS = "[storage]\nttl_sweep_seconds = 0\n"


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """A server that answers."""

    uri: str
    """With its password."""
    process: subprocess.Popen[bytes]
    _port: int
    _state: Path

    @property
    def address(self) -> str:
        """The URI without password, for display; our own commands find the password by it."""
        return credentials.unsigned(self.uri)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    async def kill(self) -> None:
        """Kill it, which loses nothing that was acknowledged."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        with suppress(OSError, ValueError):  # it does not exist
            if json.loads(self._state.read_bytes())["pid"] == self.pid:  # not a later process with the same pid
                self._state.unlink()

    async def stop(self) -> None:
        """Stop it with a checkpoint; kill it if that takes too long, which loses nothing that was acknowledged."""
        self.process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                for glance in count(1):
                    await asyncio.sleep(0.05)
                    if self.process.poll() is not None:
                        break
                    # It waits two seconds for its listener, which only a connection wakes, so this connection makes it
                    # faster.
                    if await _listens(self._port) and glance % 20 == 0:
                        self.process.terminate()
        await self.kill()


def find_program(named: str | None) -> Path:
    """The server's program.

    Args:
        named: its name or path; None: the one that is installed beside this Python.

    Raises:
        StoreError: it does not exist.
    """
    if named is None:
        program = Path(sys.executable).with_name("secantusd-py")
        if not program.exists():
            raise StoreError(
                "the embedded store is not installed, and no MongoDB is named",
                'pip install "bgpledger[embedded]", or name a MongoDB with --mongodb-uri',
            )
        return program
    found = shutil.which(named)
    if found is None:
        raise StoreError(
            f"the embedded store {named} does not exist, or cannot be executed",
            "install it (README, Two embedded stores), or leave mongodb.embedded out",
        )
    return Path(found)


async def start(data_dir: Path, named: str | None = None) -> EmbeddedStore:
    """Start the server on `data_dir`/store and wait until it answers.

    The server ends with the calling thread, so call this in the main thread. After a server that was killed, the next
    one uses the same port if it can, so that clients find it again.

    Args:
        data_dir: holds store/ (its files), store.json (pid, uri, owner), store.toml (its settings), store.password,
            log/store.log, and store.unfinished during the first start.
        named: its program, see `find_program`.

    Raises:
        StoreError: it is not installed, does not start, or is already in use by another collector.
    """
    place = _Home(find_program(named), data_dir)
    try:
        for directory in (data_dir, data_dir / "store", place.log.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            give_to_owner(directory, data_dir)
        _write(data_dir / "store.toml", _SETTINGS)
        port = await asyncio.to_thread(_end_leftover, place.state, data_dir / "store")
        password = None if _is_first_start(place) else credentials.read(data_dir)
        store = await _serve(place, port, password) if password else None
        if store is None:
            password = await _appoint_user(place)
            store = await _serve(place, port, password)
            assert store is not None  # noqa: S101 - that password is a minute old
            await _remove_other_users(store)
        return store
    except OSError as error:
        raise StoreError(
            f"the embedded store cannot use {error.filename or data_dir}: {error.strerror}",
            "make the data directory writable for this user, or choose another with --data-dir",
        ) from error


@dataclass(frozen=True, slots=True)
class _Home:
    program: Path
    data_dir: Path

    @property
    def state(self) -> Path:
        return self.data_dir / "store.json"

    @property
    def unfinished(self) -> Path:
        """Is there while the first start is not over."""
        return self.data_dir / "store.unfinished"

    @property
    def log(self) -> Path:
        return self.data_dir / "log" / "store.log"


def _is_first_start(place: _Home) -> bool:
    """Whether the store is new; of a first start that was broken off nothing is left then."""
    files = place.data_dir / "store"
    if place.unfinished.exists():
        shutil.rmtree(files)
        files.mkdir(mode=0o700)
        give_to_owner(files, place.data_dir)
    elif any(files.iterdir()):
        return False
    _write(place.unfinished, "")
    return True


async def _serve(place: _Home, port: int, password: str | None) -> EmbeddedStore | None:
    """Start the server, with a password or without requiring one; None if its password is another."""
    said = ""
    for _attempt in range(_ATTEMPTS):
        port = free_port(port)
        begins = place.log.stat().st_size if place.log.exists() else 0
        process = _launch(place, port, has_password=password is not None)
        address = f"mongodb://{_ADDRESS}:{port}/?directConnection=true"
        uri = credentials.signed(address, password) if password else address
        store = EmbeddedStore(uri, process, port, place.state)
        _write(place.state, json.dumps({"pid": store.pid, "uri": address, "port": port, "owner": os.getpid()}))
        try:
            if await _answers(store):
                return store
        except OperationFailure:  # its password is another
            await store.stop()
            return None
        if process.poll() == -signal.SIGKILL:
            continue  # by somebody, or by a kernel short of memory
        await store.stop()
        said = place.log.read_text(errors="replace")[begins:].strip()
        if "Address already in use" not in said:
            break
        port = 0
    last = said.splitlines()[-1] if said else "it said nothing"
    raise StoreError(
        f"the embedded store does not start: {last}", f"see {place.log}, or name a MongoDB with --mongodb-uri"
    )


async def _appoint_user(place: _Home) -> str:
    """Create our user, or give it a new password, and save that."""
    password = credentials.make()
    store = await _serve(place, 0, None)
    assert store is not None  # noqa: S101 - it asked for no password
    try:
        # The client has to be closed first: closing it after the server has ended would take half a minute.
        async with AsyncMongoClient[dict[str, Any]](store.uri) as client:
            try:
                await client.admin.command("createUser", credentials.USER, pwd=password, roles=["root"])
            except OperationFailure as error:
                if error.code != _USER_EXISTS:
                    raise
                await client.admin.command("updateUser", credentials.USER, pwd=password, roles=["root"])
            await _make_tables(client)
    finally:
        await store.kill()  # what it acknowledged is on disk
    _write(credentials.place(place.data_dir), password)
    place.unfinished.unlink(missing_ok=True)
    return password


async def _make_tables(client: AsyncMongoClient[dict[str, Any]]) -> None:
    """Have each table made that documents may get into: a collection's is chosen by the hash of its name."""
    names = {_table_of(f"{_SCRATCH}\0{number}"): str(number) for number in range(_NAMES_FOR_ALL_TABLES)}
    for name in names.values():
        await client[_SCRATCH].create_collection(name)
    await client.drop_database(_SCRATCH)


def _table_of(name: str) -> int:
    """Which table a collection's documents are in (secantus/storage.py, FNV-1a): database, zero byte, collection."""
    found = 0xCBF29CE484222325
    for byte in name.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found % _TABLES


async def _remove_other_users(store: EmbeddedStore) -> None:
    async with AsyncMongoClient[dict[str, Any]](store.uri) as client:
        for user in await client.admin["system.users"].find().to_list():
            if (user["user"], user["db"]) != (credentials.USER, "admin"):
                await client[user["db"]].command("dropUser", user["user"])


def _launch(place: _Home, port: int, *, has_password: bool) -> subprocess.Popen[bytes]:
    command = [
        str(place.program),
        "--config",
        str(place.data_dir / "store.toml"),
        "--host",
        _ADDRESS,
        "--port",
        str(port),
        "--standalone",
        "--sync-on-commit",
    ]
    command += ["--storage-path", str(place.data_dir / "store"), "--cache-size", "256M", "--log-level", "WARNING"]
    command += ["--auth"] if has_password else []
    if setpriv := shutil.which("setpriv"):
        # It must not outlive us if we are killed. Running a function of ours between fork and exec would not be safe
        # with threads; util-linux has a program for it.
        command = [setpriv, "--pdeathsig", "TERM", *command]
    owner = place.data_dir.stat()
    # root runs this: the files it leaves still belong to the directory's owner
    stranger = os.geteuid() == 0 and owner.st_uid != 0
    with open(place.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            umask=0o077,
            env=without_secrets(os.environ),
            user=owner.st_uid if stranger else None,
            group=owner.st_gid if stranger else None,
            extra_groups=[] if stranger else None,
            # Ctrl-C at our terminal must not reach it: the archiver has batches to finish.
            start_new_session=True,
        )


async def _answers(store: EmbeddedStore) -> bool:
    """Wait until it answers a ping; False if it ended or the time is up.

    Raises:
        OperationFailure: our password is wrong.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while store.process.poll() is None:
                if await _listens(store._port):
                    async with AsyncMongoClient[dict[str, Any]](store.uri, serverSelectionTimeoutMS=5000) as client:
                        try:
                            await client.admin.command("ping")
                        except PyMongoError as error:
                            if isinstance(error, OperationFailure) and error.code == _AUTHENTICATION_FAILED:
                                raise
                        else:
                            # Another process may have taken the port first, and answer.
                            return store.process.poll() is None
                await asyncio.sleep(0.05)
    return False


async def _listens(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection(_ADDRESS, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def free_port(wanted: int = 0) -> int:
    """A free loopback port: `wanted` if it is free; any for 0."""
    with socket.socket() as probe:
        # The last server's connections may linger on its port; they do not prevent listening either.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, wanted))
        except OSError:
            probe.bind((_ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def end(data_dir: Path) -> None:
    """End the server of a data directory, whoever started it."""
    _end_leftover(data_dir / "store.json", data_dir / "store", of_the_living=True)


def _end_leftover(state: Path, storage: Path, *, of_the_living: bool = False) -> int:
    """Stop the server of a collector that was killed; returns the port of the last one, 0 if unknown.

    Raises:
        StoreError: the server belongs to a collector that lives.
    """
    try:
        found = json.loads(state.read_bytes())
        pid, owner, port = int(found["pid"]), int(found["owner"]), int(found["port"])
        process = os.pidfd_open(pid)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0
    except ProcessLookupError:
        return port
    try:
        # Checked after opening it: from here on no other process can get this pid.
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return port
        if os.fsencode(storage) not in arguments:
            return port
        if parent == owner and not of_the_living:
            raise StoreError(
                f"the embedded store of {storage.parent} is already in use by another collector (process {owner})",
                "end that one first, or give this one a --data-dir of its own",
            )
        for deadly in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, deadly)
            if select.select([process], [], [], _STOP_SECONDS)[0]:
                break
    finally:
        os.close(process)
    return port


def _write(path: Path, content: str) -> None:
    with replacing(path) as file:
        file.write(content.encode())
        give_to_owner(file.fileno(), path.parent)


def give_to_owner(file: Path | int, data_dir: Path) -> None:
    """Make the owner of a data directory the owner of a file that root created in it."""
    if os.geteuid() == 0:
        owner = data_dir.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
