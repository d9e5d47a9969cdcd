"""The query commands, as people type them, with a collector that has sessions."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.replay.plan import plan
from schemas.json_object import JsonObject
from tests.running import BGPLEDGER, Collector, bgpledger, collecting
from tests.support import ROOT, until

DEMO = ROOT / "collector/data/demo.mrt.gz"
PREFIX = "203.0.113.0/24"
ENTRIES = 86
"""80 announcements and withdrawals of three peers, whose sessions come up and end."""


async def test_asking(data_dir: Path, tmp_path: Path) -> None:
    peers = plan(DEMO)
    with collecting(data_dir, peers=[(peer.source, peer.asn) for peer in peers]) as collector:
        await collector.until_up()
        await a_tail_that_is_ended(collector, tmp_path)
        heard = await a_tail_hears(collector, tmp_path)
        found = collector.ask("search")
        assert len(found) == ENTRIES
        assert sorted(map(json.dumps, heard)) == sorted(map(json.dumps, found))
        assert [one["ts"] for one in found] == sorted(one["ts"] for one in found)
        filters_narrow(collector)
        what_no_index_serves(collector)
        nothing_is_to_be_migrated(collector)
        what_is_said_most(collector)
        what_stood(collector, found)
        a_reader_that_has_seen_enough(collector)
        colours(collector)


def typed(collector: Collector, *arguments: str) -> list[str]:
    return [BGPLEDGER, "--data-dir", str(collector.data_dir), *arguments]


def typed_in(collector: Collector, *arguments: str, **environment: Any) -> subprocess.CompletedProcess[str]:
    return bgpledger("--data-dir", str(collector.data_dir), *arguments, **environment)


async def a_tail_that_is_ended(collector: Collector, tmp_path: Path) -> None:
    """Ctrl-C ends it quietly, with status 0, before anything has been printed."""
    errors = tmp_path / "errors"
    with errors.open("wb") as out:
        tail = subprocess.Popen(typed(collector, "tail"), stdout=subprocess.PIPE, stderr=out)
        await asyncio.to_thread(until_asleep, tail.pid)
        tail.send_signal(signal.SIGINT)
        said, _ = tail.communicate(timeout=300)
    assert (tail.returncode, said, errors.read_text()) == (0, b"", "")


def until_asleep(pid: int) -> None:
    """Wait until it queries the store: it has a connection, and its start is long over."""
    asyncio.run(until(lambda: connections(pid) >= 2, what="tail asks"))


def connections(pid: int) -> int:
    links = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(one.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


async def a_tail_hears(collector: Collector, tmp_path: Path) -> list[dict[str, object]]:
    """`tail` prints what a replay sends, entry by entry, until Ctrl-C."""
    lines = tmp_path / "lines"
    with lines.open("wb") as out:
        # It may be querying already, or begin only when everything is stored.
        words = typed(collector, "tail", "--from", "1h", "--format", "jsonl")
        tail = subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE)
    played = await asyncio.to_thread(bgpledger, "replay", str(DEMO), "--to", collector.target, timeout=300)
    assert played.returncode == 0, played.stderr
    await until(lambda: lines.read_bytes().count(b"\n") >= ENTRIES, what="tail shows everything")
    tail.send_signal(signal.SIGINT)
    _, said = tail.communicate(timeout=300)
    assert tail.returncode == 0, said
    assert said == b"" or said.startswith(b"the archive begins at ")
    return [json.loads(line) for line in lines.read_text().splitlines()]


def filters_narrow(collector: Collector) -> None:
    ask = collector.ask
    assert {one["event"] for one in ask("search", "-m", "withdraw")} == {"withdraw"}
    assert {one["peer"]["asn"] for one in ask("search", "-J", "64497,65551")} == {64497, 65551}
    hijack = ask("search", "-d", "1h", "-o", "64511")
    assert [one["event"] for one in hijack].count("withdraw") == 1
    assert {one["as_path"].split()[-1] for one in hijack} == {"64511"}
    assert ask("search", "-d", "1h", "-a", "_64511$") == hijack
    assert {tuple(one["communities"]) for one in ask("search", "-d", "1h", "-C", "*:666")} == {("64497:666",)}
    history = ask("history", PREFIX, "-o", "64511", "--elem", "announce")
    assert history == [one for one in hijack if one["prefix"] == PREFIX and one["event"] == "announce"]
    assert ask("search", "--limit", "7") == ask("search")[-7:]
    assert ask("search", "-T", "2h") == []


def what_no_index_serves(collector: Collector) -> None:
    refused = typed_in(collector, "search", "-a", "_64511$")
    assert refused.returncode == 2
    assert [line.partition(":")[0] for line in refused.stderr.splitlines()] == ["error", "cure"]
    assert "80 UPDATEs would be read" in refused.stderr
    said = collector.ask("search", "-a", "_64511$", "--all")
    assert said == collector.ask("search", "-a", "_64511$", "-t", "1h")
    # Origins have an index.
    assert said == collector.ask("search", "-o", "64511")


def nothing_is_to_be_migrated(collector: Collector) -> None:
    done = typed_in(collector, "db", "migrate")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nothing to migrate: the database has this version's schema\n"


def what_is_said_most(collector: Collector) -> None:
    (first, *_) = collector.ask("top", "prefixes", "--by", "flaps", "--limit", "3")
    assert (first["name"], first["flaps"]) == ("198.51.100.64/26", 6)
    names = [one["name"] for one in collector.ask("top", "peers")]
    assert names[0] == "127.0.1.1"
    assert len(names) == 3


def what_stood(collector: Collector, found: Sequence[JsonObject]) -> None:
    """The table during the hijack; the sessions have ended since."""
    ask = collector.ask
    during = next(one["ts"] for one in reversed(found) if (one["as_path"] or "").endswith(" 64511"))
    stood = paths_at(found, during)
    hijacked = {peer: path for peer, path in stood.items() if path.endswith(" 64511")}
    assert paths(ask("rib", PREFIX, "--at", during)) == stood
    assert paths(ask("lookup", "203.0.113.7", "--at", during, "-o", "64511")) == hijacked
    gone = ask("diff", during, "now", PREFIX, "-j", "127.0.1.0/24", "-a", "!_64511$")
    assert [one["event"] for one in gone] == ["went"] * (len(stood) - len(hijacked))
    dumped = typed_in(collector, "rib", "--at", during, "--limit", "3", "--format", "bgpdump")
    assert [line.split("|")[0] for line in dumped.stdout.splitlines()] == ["TABLE_DUMP2"] * 3


def paths_at(found: Sequence[JsonObject], at: str) -> dict[str, str]:
    """Each peer's path to the prefix at a time: everything was sent within milliseconds, and nobody knows which."""
    paths: dict[str, str] = {}
    for one in found:
        if one["ts"] <= at and (one["prefix"] == PREFIX or one["event"] == "session_end"):
            paths.pop(one["peer"]["address"], None)
            if one["event"] == "announce":
                paths[one["peer"]["address"]] = one["as_path"]
    return paths


def paths(routes: Sequence[JsonObject]) -> dict[str, str]:
    return {one["peer"]["address"]: one["as_path"] for one in routes}


def a_reader_that_has_seen_enough(collector: Collector) -> None:
    began = collector.ask("search", "--elem", "session")[0]["ts"]
    for command in ("search --format bgpdump", "search", f"tail --from {began} --format jsonl", f"history {PREFIX}"):
        words = " ".join(typed(collector, *command.split()))
        done = subprocess.run(
            f"{words} | head -1", shell=True, capture_output=True, text=True, check=False, timeout=300
        )
        assert (done.stdout.count("\n"), done.stderr) == (1, ""), command


def colours(collector: Collector) -> None:
    """There are colours only on a terminal, and not if NO_COLOR is set."""
    words = ("search", "--elem", "session", "--limit", "9")
    command = typed(collector, *words)
    assert b"\x1b" in on_a_terminal(command)
    assert b"\x1b" not in on_a_terminal(command, NO_COLOR="1")
    piped = typed_in(collector, *words, FORCE_COLOR="1")
    assert "session up" in piped.stdout
    assert "\x1b" not in piped.stdout


def on_a_terminal(command: Sequence[str], **environment: str) -> bytes:
    """What a command shows on a terminal."""
    ours, its = pty.openpty()
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(command, stdout=its, env={**inherited, "TERM": "xterm", **environment})
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(300) == 0
    assert b"session up" in shown
    return shown
