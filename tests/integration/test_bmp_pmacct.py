"""pmacct's pmbmpd, given the bytes that real routers sent, reads the same as we do, row by row."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest

from collector.bgp.families import family_name
from collector.sources.bmp.connection import RouterConnection
from collector.sources.bmp.decode import decode
from collector.sources.source import Rejection
from schemas.json_object import JsonObject
from schemas.message import OtherSource, StateChange, Update
from tests.running import free_port
from tests.support import program, shared, until

Row = JsonObject
_WELL_KNOWN = {"no-export": "65535:65281"}
_ORIGINS = {"i": "igp", "e": "egp", "u": "incomplete"}


@pytest.mark.parametrize("name", ["frr-8.4.4-monitor-and-mirror.bin", "gobgpd-3.10-all.bin"])
async def test_pmacct_reads_the_same(name: str, tmp_path: Path) -> None:
    """Except for mirrored messages and tables without a Peer Up, which it leaves out."""
    stream = shared(f"bmp/{name}").read_bytes()
    expected = ours(stream)
    assert await pmacct(stream, tmp_path, len(expected)) == expected
    assert any(row["what"] == "announce" for row in expected)


def ours(stream: bytes) -> list[Row]:
    rows: list[Row] = []
    for record in RouterConnection(bytes(10) + b"\xff\xff\x7f\0\0\1", 1).feed(stream, time.time()).records:
        said = decode(record)
        assert not isinstance(said, Rejection)
        if isinstance(said, StateChange | Update):
            assert isinstance(said.source, OtherSource)
            more = said.source.model_extra or {}
            common = {"peer": said.peer.address, "time": f"{more['router_time']:%Y-%m-%d %H:%M:%S}"}
            if isinstance(said, StateChange):
                rows.append({"what": said.state, **common, "asn": said.peer.asn, "ports": more.get("ports")})
            elif not {"mirrored", "no_peer_up"} & more.keys():
                rows += [{**common, **row} for row in _routes(said)]
    return rows


def _routes(update: Update) -> list[Row]:
    attributes = {
        name: value
        for name, value in (update.attributes or {}).items()
        if name in ("as_path", "communities", "large_communities", "med", "local_pref", "origin")
    }
    return [
        {"what": what, "family": group["family"], "prefix": prefix, "post": update.peer.rib == "post-policy", **more}
        for what, groups in (("announce", update.announce), ("withdraw", update.withdraw))
        for group in groups or ()
        for more in [{"next_hop": group.get("next_hop"), **attributes} if what == "announce" else {}]
        for prefix in group["nlri"]
    ]


async def pmacct(stream: bytes, directory: Path, count: int) -> list[Row]:
    """What pmbmpd logs for a stream."""
    port, log, config = free_port(), directory / "rows.json", directory / "pmbmpd.conf"
    config.write_text(
        f"bmp_daemon_ip: 127.0.0.1\nbmp_daemon_port: {port}\nbmp_daemon_msglog_file: {log}\n"
        f"bmp_daemon_msglog_output: json\nlogfile: {directory}/log\ndaemonize: false\n"
    )
    with subprocess.Popen([program("pmbmpd"), "-f", str(config)], stdout=subprocess.DEVNULL) as daemon:
        try:
            with await until(lambda: connected(port), what="pmbmpd listens") as router:
                router.sendall(stream)
                await until(lambda: len(rows(log)) >= count, what=f"{count} rows")
                return rows(log)
        finally:
            daemon.kill()  # it goes on at SIGTERM


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        return None


def rows(log: Path) -> list[Row]:
    text = log.read_text() if log.exists() else ""
    found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [made for one in found if (made := row(one))]


def row(one: Row) -> Row | None:
    kind = one.get("bmp_msg_type")
    common = {"peer": one.get("peer_ip"), "time": one["timestamp"][:19]}
    if kind in ("peer_up", "peer_down"):
        ports = [one["local_port"], one["remote_port"]] if kind == "peer_up" else None
        return {"what": kind.removeprefix("peer_"), **common, "asn": one["peer_asn"], "ports": ports}
    if kind != "route_monitor":
        return None
    made = {
        **common,
        "what": {"update": "announce"}.get(one["log_type"], one["log_type"]),
        "family": family_name((one["afi"], one["safi"])),
        "prefix": one["ip_prefix"],
        "post": bool(one["is_post"]),
    }
    if made["what"] == "announce":
        made |= {"next_hop": one["bgp_nexthop"], "as_path": one["as_path"], "origin": _ORIGINS[one["origin"]]}
        names = {"comms": "communities", "lcomms": "large_communities"}
        spelt = {field: one[name].split(" ") for name, field in names.items() if name in one}
        made |= {field: [_WELL_KNOWN.get(value, value) for value in values] for field, values in spelt.items()}
        made |= {name: one[name] for name in ("med", "local_pref") if name in one}
    return made
