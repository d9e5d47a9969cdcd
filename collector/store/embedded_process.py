"""One process of the embedded store: starts it, waits until it answers, and ends it.

`collector.store.embedded` says with which options and why.
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
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pymongo.errors import OperationFailure, PyMongoError

from collector.children import without_secrets
from collector.errors import StoreError
from collector.files import replacing
from collector.store import credentials
from collector.store.driver import Client

_ADDRESS = "127.0.0.1"
_START_SECONDS = 120.0
"""After a crash it replays its journal before it answers."""
_STOP_SECONDS = 15.0
_ATTEMPTS = 5
_AUTHENTICATION_FAILED = 18


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


@dataclass(frozen=True, slots=True)
class Home:
    """The server's program, and its files in a data directory."""

    program: Path
    data_dir: Path

    @property
    def state(self) -> Path:
        """The process that runs, with its address."""
        return self.data_dir / "store.json"

    @property
    def unfinished(self) -> Path:
        """Exists while the first start is not over."""
        return self.data_dir / "store.unfinished"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.data_dir / "log" / "store.log"


async def serve(place: Home, port: int, password: str | None) -> EmbeddedStore | None:
    """Start the server and wait until it answers; None if it has another password.

    Args:
        place: its program and files.
        port: where it listens if this port is free; 0: any.
        password: our user's; None: it requires none.

    Raises:
        StoreError: it does not start; with the last line that it printed.
    """
    output = ""
    for _attempt in range(_ATTEMPTS):
        port = free_port(port)
        begins = place.log.stat().st_size if place.log.exists() else 0
        process = _launch(place, port, has_password=password is not None)
        address = f"mongodb://{_ADDRESS}:{port}/?directConnection=true"
        uri = credentials.signed(address, password) if password else address
        store = EmbeddedStore(uri, process, port, place.state)
        write_owned(place.state, json.dumps({"pid": store.pid, "uri": address, "port": port, "owner": os.getpid()}))
        try:
            if await _answers(store):
                return store
        except OperationFailure:  # its password is another
            await store.stop()
            return None
        if process.poll() == -signal.SIGKILL:
            continue  # by somebody, or by a kernel short of memory
        await store.stop()
        output = place.log.read_text(errors="replace")[begins:].strip()
        if "Address already in use" not in output:
            break
        port = 0
    last = output.splitlines()[-1] if output else "it said nothing"
    raise StoreError(
        f"the embedded store does not start: {last}", f"see {place.log}, or name a MongoDB with --mongodb-uri"
    )


def _launch(place: Home, port: int, *, has_password: bool) -> subprocess.Popen[bytes]:
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
            # numpy, which it imports, would start threads that it never uses.
            env={**without_secrets(os.environ), "OPENBLAS_NUM_THREADS": "1"},
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
                    async with Client(store.uri, serverSelectionTimeoutMS=5000) as client:
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


def end_leftover(state: Path, storage: Path, *, of_the_living: bool = False) -> int:
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


def write_owned(path: Path, content: str) -> None:
    """Replace a file of a data directory; its owner is the directory's."""
    with replacing(path) as file:
        file.write(content.encode())
        give_to_owner(file.fileno(), path.parent)


def give_to_owner(file: Path | int, data_dir: Path) -> None:
    """Make the owner of a data directory the owner of a file that root created in it."""
    if os.geteuid() == 0:
        owner = data_dir.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
