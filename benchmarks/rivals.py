"""Other ways to get a table into MongoDB: a script as most people would write it, and pmacct's pmbgpd."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pymongo import MongoClient, WriteConcern
from pymongo.database import Database

from benchmarks.data import ROOT, Table
from benchmarks.speakers import ADDRESS, LOCAL_AS, free_port, play, workplace
from benchmarks.stores import store_server
from schemas.json_object import JsonObject

_SCRIPT_LINES = 2_000
_PATIENCE = 60.0


def simplest_script(table: Table) -> dict[str, float]:
    """`insert_one(json.loads(line))` for each of ExaBGP's lines; for some of them, as it takes so long."""
    lines = table.lines[:: max(len(table.lines) // _SCRIPT_LINES, 1)]
    return asyncio.run(_insert_each(lines, _as_it_is)) | {"routes": len(lines) * table.routes / table.updates}


def findable_script(table: Table) -> dict[str, float]:
    """The same, so that a prefix can be asked for and an answer is durable: with what our documents have as well."""
    lines = table.lines[:: max(len(table.lines) // _SCRIPT_LINES, 1)]
    return asyncio.run(_insert_each(lines, _with_prefixes)) | {"routes": len(lines) * table.routes / table.updates}


def _as_it_is(database: Database[JsonObject]) -> Callable[[JsonObject], object]:
    return database["updates"].insert_one


def _with_prefixes(database: Database[JsonObject]) -> Callable[[JsonObject], object]:
    # Without the list a prefix cannot be asked for: ExaBGP's key above it is the next hop.
    collection = database.get_collection("updates", write_concern=WriteConcern("majority", j=True))
    collection.create_index([("prefixes", 1), ("neighbor.address.peer", 1), ("time", 1)])
    return lambda message: collection.insert_one({**message, "prefixes": _prefixes(message)})


def _prefixes(message: JsonObject) -> list[str]:
    update = message.get("neighbor", {}).get("message", {}).get("update", {})
    groups = [routes for hops in update.get("announce", {}).values() for routes in hops.values()]
    return [route["nlri"] for routes in (*groups, *update.get("withdraw", {}).values()) for route in routes]


async def _insert_each(
    lines: list[bytes], prepare: Callable[[Database[JsonObject]], Callable[[JsonObject], object]]
) -> dict[str, float]:
    with workplace() as place:
        async with store_server(place) as server:
            with MongoClient[JsonObject](server.uri) as client:
                insert = prepare(client["script"])
                began = time.monotonic()
                for line in lines:
                    insert(json.loads(line))
                seconds = time.monotonic() - began
    return {"seconds": seconds, "lines_per_second": len(lines) / seconds}


def missing_pmbgpd() -> str | None:
    """Why pmbgpd cannot be run here."""
    return None if _program() else "not measured: pmbgpd is not installed (Debian package pmacct)"


def _program() -> str | None:
    return shutil.which("pmbgpd", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


def pmbgpd_log(table: Table) -> dict[str, float]:
    """The table into pmbgpd's JSON log: it reads no MRT, so that a peer has to play the file to it."""
    with workplace() as place:
        log, port = place / "log.json", free_port()
        log.touch()
        daemon = _start(place, log, port)
        try:
            played = play(table, port)
            return {"seconds": _until_whole(log, table.routes) - played.began, "routes": table.routes}
        finally:
            daemon.kill()
            daemon.wait()


def pmbgpd(table: Table) -> dict[str, float]:
    """The table into pmbgpd's JSON log, and that log into the store meanwhile, until its last route can be queried."""
    return asyncio.run(_pmbgpd(table))


async def _pmbgpd(table: Table) -> dict[str, float]:
    with workplace() as place:
        async with store_server(place) as server:
            log, port = place / "log.json", free_port()
            log.touch()
            command = [sys.executable, "-m", "benchmarks.loader", str(log), server.uri, str(table.routes)]
            loader = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
            daemon = _start(place, log, port)
            try:
                played = await asyncio.to_thread(play, table, port)
                written = await asyncio.to_thread(_until_whole, log, table.routes)
                output, _ = await loader.communicate()
            finally:
                daemon.kill()  # at times it does not mind SIGTERM
                daemon.wait()
            return {
                "seconds": json.loads(output)["ended"] - played.began,
                "log_seconds": written - played.began,
                "routes": table.routes,
                "log_bytes": log.stat().st_size,
            }


def _start(place: Path, log: Path, port: int) -> subprocess.Popen[bytes]:
    settings = {
        "daemonize": "false",
        "bgp_daemon_ip": ADDRESS,
        "bgp_daemon_port": port,
        "bgp_daemon_id": "192.0.2.254",
        "bgp_daemon_as": LOCAL_AS,
        "bgp_daemon_max_peers": 2,
        "bgp_daemon_msglog_file": log,
        "bgp_daemon_msglog_output": "json",
    }
    config = place / "pmbgpd.conf"
    config.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    with (place / "pmbgpd.log").open("wb") as output:
        return subprocess.Popen(
            [str(_program()), "-f", str(config)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _until_whole(log: Path, routes: int) -> float:
    """Wait until the log has all routes; when that was."""
    deadline = time.monotonic() + _PATIENCE
    seen = 0
    with log.open("rb") as file:
        while True:
            block = file.read(2**22)
            seen += block.count(b"\n")
            if seen > routes:  # the first line tells of the session
                return time.monotonic()
            if not block:
                if time.monotonic() > deadline:
                    raise SystemExit(f"pmbgpd wrote {seen} of {routes} routes")
                time.sleep(0.05)
