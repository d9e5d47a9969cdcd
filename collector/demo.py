"""The demonstration: a collector of its own, routers that play a recorded feed, and the resulting archive."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from bgpledger import Archive, Filter
from collector.errors import CollectorError
from collector.present.formats import write
from collector.query.running import find_running
from collector.replay.plan import PlannedPeer, plan
from collector.replay.player import play
from collector.store.embedded_process import free_port
from schemas.query import HistoryEntry
from schemas.status import PeerStatus

PREFIX = "203.0.113.0/24"
"""The prefix in the feed whose origin changes, and changes back."""
LOCAL_AS = 65000
_PATIENCE = 120.0
_SPEED = 4.0
"""Half a minute of routing in seven seconds: the prefix has its routes a second before its origin changes."""
_ADDRESS = "127.0.0.1"
_HTTP_PORT = 8480
_LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True)
class _Stage:
    """The demonstration's directory, programs and addresses."""

    data_dir: Path
    log: Path
    port: int
    http: str
    """The address of its pages, ADDR:PORT."""
    command: Sequence[str]

    @property
    def program(self) -> str:
        """What the user types before each command."""
        return shlex.join([*self.command, "--data-dir", str(self.data_dir)])


async def demonstrate(data_dir: Path, command: Sequence[str], *, stay: bool) -> None:
    """Run a collector in `data_dir`, play the feed into it, show peers and one prefix's history.

    Args:
        data_dir: where the collector keeps its files; data from earlier demonstrations stays in the archive.
        command: how to start this program.
        stay: keep everything up until Ctrl-C.

    Raises:
        CollectorError: the collector does not start; the cause names its log.
    """
    stage = _set_up(data_dir, command)
    began = datetime.now(UTC)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with as_file(files("collector") / "data" / "demo.mrt.gz") as feed:
        routers = plan(feed)
        _say(f"starting a collector in {stage.data_dir}; its log is {stage.log}")
        async with _collector(stage, routers) as uri, Archive.open(uri, data_dir=stage.data_dir) as archive:
            _say(f"{len(routers)} routers play {sum(router.updates for router in routers)} UPDATEs into it")
            playing = asyncio.create_task(play(feed, (_ADDRESS, stage.port), routers, speed=_SPEED, stay=True))
            try:
                await _until_stored(archive, routers, began, playing)
                await _show(stage, archive, began, stay=stay)
                if stay and not stop.is_set():
                    _say(f"\nSee it in a browser: http://{stage.http}/prefix/{PREFIX}")
                    _say(f"and the state of all peers: http://{stage.http}/")
                    _say("The collector and its routers keep running for your queries; Ctrl-C ends them.")
                    await stop.wait()
            finally:
                playing.cancel()
                with suppress(asyncio.CancelledError):
                    await playing


def _set_up(data_dir: Path, command: Sequence[str]) -> _Stage:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CollectorError(f"{data_dir} cannot be used: {error.strerror}", "name another --data-dir") from error
    home = data_dir.resolve()
    return _Stage(home, home / "demo.log", free_port(), f"{_ADDRESS}:{free_port(_HTTP_PORT)}", command)


@asynccontextmanager
async def _collector(stage: _Stage, routers: Sequence[PlannedPeer]) -> AsyncIterator[str]:
    """`bgpledger run`, started as a user would; yields the URI of its store once it listens."""
    arguments = ["--data-dir", str(stage.data_dir), "--local-as", str(LOCAL_AS), "--listen", f"{_ADDRESS}:{stage.port}"]
    arguments += ["--http", stage.http]
    for router in routers:
        arguments += ["--peer", f"{router.source},{router.asn}"]
    with stage.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *stage.command,
            "run",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield await _until_up(stage, process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _until_up(stage: _Stage, process: Process) -> str:
    async with asyncio.timeout(_PATIENCE):
        while True:
            if process.returncode is not None:
                lines = stage.log.read_text(errors="replace").strip().splitlines()
                causes = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
                cause = (causes or lines or ["it said nothing"])[-1]
                raise CollectorError(f"the collector does not start: {cause}", f"see {stage.log}")
            running = find_running(stage.data_dir)
            if running and running.mongodb_uri and _listens(stage.port):
                return running.mongodb_uri
            await asyncio.sleep(0.1)


def _listens(port: int) -> bool:
    """Whether a port is listened on (proc(5)); a test connection would be an unknown router, which ExaBGP reports."""
    sockets = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        local.endswith(f":{port:04X}") and state == _LISTEN for _, local, _, state, *_ in map(str.split, sockets)
    )


async def _until_stored(
    archive: Archive, routers: Sequence[PlannedPeer], began: datetime, playing: asyncio.Task[object]
) -> None:
    expected = sum(router.updates for router in routers)
    async with asyncio.timeout(_PATIENCE):
        while True:
            if playing.done():
                await playing  # raises the error that ended it
            sessions = archive.sessions(Filter(start=began))
            if sum([session.updates async for session in sessions if session.since >= began]) >= expected:
                return
            await asyncio.sleep(0.2)


async def _show(stage: _Stage, archive: Archive, began: datetime, *, stay: bool) -> None:
    _type(stage, "peers")
    await write(archive.peers(), PeerStatus, "table", sys.stdout)
    _type(stage, f"history {PREFIX}")
    await write(archive.history(PREFIX, Filter(start=began)), HistoryEntry, "table", sys.stdout)
    sys.stdout.flush()
    commands = ["history 2001:db8:42::/48", f"history {PREFIX} --start 1h --format jsonl", "peers"]
    if stay:
        _say("\nType next, in another terminal:")
        commands.append("status")
    else:
        _say("\nThe collector ends here. Type next; each command opens the archive for its query:")
    for words in commands:
        _say(f"  {stage.program} {words}")


def _type(stage: _Stage, words: str) -> None:
    sys.stdout.flush()
    _say(f"\n$ {stage.program} {words}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
