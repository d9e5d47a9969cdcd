"""Both ends of a session on this machine: ExaBGP by itself, and the player that feeds it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.data import ROOT, WORK, Table
from benchmarks.processes import Usage, usage
from collector.settings.bgp import BgpSettings, PeerSettings
from collector.settings.model import Settings
from collector.sources.exabgp.configuration import render
from collector.sources.exabgp.program import environment, exabgp_command

ADDRESS = "127.0.0.1"
LOCAL_AS = 65_000
BIN = Path(sys.executable).parent
_PATIENCE = 60.0


@dataclass(frozen=True)
class Played:
    """When a file was played, in seconds of CLOCK_MONOTONIC."""

    began: float
    """The session is up, the first UPDATE goes out."""
    ended: float
    """The daemon has read everything and closed its session."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory on the disk of the checkout, gone afterwards."""
    place = Path(tempfile.mkdtemp(dir=WORK))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def ends(table: Table, peer: int) -> tuple[str, str]:
    """Where one of several peers with the same table comes from, and where it goes to."""
    return str(IPv4Address(table.peer.source) + peer), str(IPv4Address(ADDRESS) + peer)


def play(table: Table, port: int, peers: int = 1) -> Played:
    """Play the table into the daemon at `port`, by several peers at once if need be, each in a process of its own.

    Raises:
        SystemExit: the daemon refused it, or ended before the end.
    """
    players = []
    for source, address in (ends(table, peer) for peer in range(peers)):
        command = [sys.executable, "-m", "benchmarks.player", str(table.path), address, str(port), source]
        players.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE))
    outputs = [player.communicate()[0] for player in players]
    if any(player.returncode for player in players):
        raise SystemExit(f"{table.path} was not taken to its end")
    found = [json.loads(one) for one in outputs]
    return Played(min(one["began"] for one in found), max(one["ended"] for one in found))


@contextmanager
def exabgp(
    table: Table, helper: Sequence[str], python: str | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """ExaBGP as the collector configures it, its lines going to `helper`; yields its port and its process.

    Args:
        table: the peer that it knows.
        helper: a command line.
        python: another Python that runs it.
    """
    port = free_port()
    with workplace() as place:
        settings = Settings(
            data_dir=place,
            bgp=BgpSettings(listen=f"{ADDRESS}:{port}", local_as=LOCAL_AS),
            peers=(PeerSettings(address=table.peer.source, asn=table.peer.asn, passive=True),),
        )
        config = place / "exabgp.conf"
        config.write_text(render(settings, helper))
        with (place / "exabgp.log").open("wb") as log:
            process = subprocess.Popen(
                exabgp_command(python, "server", str(config)),
                env=environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _until(lambda: b"loaded new configuration" in (place / "exabgp.log").read_bytes(), "ExaBGP has started")
            yield port, process
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def exabgp_alone(table: Table, python: str | None = None) -> tuple[float, Usage]:
    """ExaBGP writes the table to /dev/null: seconds from the first UPDATE to the last, and what that took."""
    with exabgp(table, _sink(Path(os.devnull)), python) as (port, process):
        before = usage(process.pid).cpu
        played = play(table, port)
        used = usage(process.pid)
        return played.ended - played.began, replace(used, cpu=used.cpu - before)


def record(table: Table) -> None:
    """Write the lines that ExaBGP makes of the table to its `lines_path`, unless they are there."""
    if table.lines_path.exists():
        return
    fresh = table.lines_path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with exabgp(table, _sink(fresh)) as (port, _process):
        play(table, port)
        # The line of the session's end is the last one.
        _until(lambda: b'"state": "down"' in fresh.read_bytes()[-4096:], "ExaBGP tells of the session's end")
    fresh.replace(table.lines_path)


def _sink(path: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("sink.py")), str(path)]


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {_PATIENCE:g} s: {what}")
        time.sleep(0.1)
