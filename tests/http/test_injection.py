"""No byte reaches ExaBGP's pipe that the models did not write, whatever is in an order, and wherever it comes from.

Nor does any reach its configuration.

The acting process is the real one. The test connects to its socket as ExaBGP's relay does, and reads every line that
would go into the pipe. `INJECTIONS=5000` makes up so many more orders (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shlex
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bgpledger import Archive
from collector.http import tokens
from collector.http.tokens import Bounds
from collector.settings.load import load
from collector.settings.model import Settings
from collector.sources.exabgp.configuration import render
from collector.sources.exabgp.files import acting_socket
from collector.sources.exabgp.relay import hello
from schemas.json_object import JsonObject
from tests.http.browsing import PATIENCE
from tests.http.conftest import client
from tests.http.hostile import (
    BEGIN,
    NASTY,
    NEIGHBOR,
    OURS,
    PEER,
    ROUTE,
    announcing,
    read,
    section,
    speaker,
    speaking,
    with_nasty,
)
from tests.running import BGPLEDGER, bgpledger
from tests.support import until
from tests.unit.test_acting_commands import LINE

MORE = int(os.environ.get("INJECTIONS") or 0)
ROUNDS = 1 + MORE // 300
GOOD_MATCH: Mapping[str, Any] = {
    "destination": "203.0.113.8/32",
    "source": "198.51.100.0/24",
    "protocols": "udp",
    "ports": "53",
    "packet_lengths": "64-128",
    "dscp": "46",
    "fragments": "is-fragment",
}
OF_AN_ORDER = ("why", "who", "group", "key", "peers", "expires", "source")
MARK = "64500:4711"
LAST, LAST_OF_COMMAND, LAST_OF_CHECKS = (f"203.0.113.{number}/32" for number in (254, 253, 252))


def orders(chosen: random.Random) -> Iterator[JsonObject]:
    """Bodies of orders, each with something nasty in one field."""
    for nasty in NASTY:
        for name in ROUTE:
            route = chosen.choice(list(with_nasty(ROUTE, name, nasty)))
            yield {"announcements": [route], "why": "a test"}
        name = chosen.choice(list(GOOD_MATCH))
        match = chosen.choice(list(with_nasty(GOOD_MATCH, name, nasty)))
        yield {"announcements": [{"match": match, "then": {"discard": True}}], "why": "a test"}
        then = {"redirect": f"64500:7{nasty}", "mark": chosen.choice([5, nasty])}
        yield {"announcements": [{"match": dict(GOOD_MATCH), "then": then}], "why": "a test"}
        name = chosen.choice(OF_AN_ORDER)
        yield next(with_nasty({"announcements": [dict(ROUTE)], "why": "a test", "peers": PEER}, name, nasty))


def printed(chosen: random.Random) -> bytes:
    """What an attached command prints."""
    good = f"neighbor {PEER} announce route 203.0.113.9/32 next-hop 192.0.2.9 med 5 community [64500:1]"
    lines = []
    for nasty in NASTY[:-2]:
        at = chosen.choice(
            [0, len(good), good.index(" announce"), good.index("/32"), good.index("5 comm"), len(good) - 1]
        )
        lines.append((good[:at] + nasty + good[at:]).encode("utf-8", "surrogatepass"))
    lines += [
        b"\xff\xfe",
        b"announce route 203.0.113.9/32 next-hop 192.0.2.9\r",
        b"shutdown",
        b"announce eor ipv4 unicast",
    ]
    return b"\n".join([*lines, f"announce route {LAST_OF_COMMAND} next-hop 192.0.2.9".encode(), b""])


@asynccontextmanager
async def relaying(data_dir: Path) -> AsyncIterator[list[bytes]]:
    """What ExaBGP's relay gets, each line of it answered."""
    path, got = acting_socket(data_dir), []
    await until(path.exists, what="the acting process listens")
    reader, writer = await asyncio.open_unix_connection(path)

    async def carry() -> None:
        while line := await reader.readline():
            got.append(line)
            if line == b"show neighbor json\n":
                listed = {"fsm": "IDLE", "peer": {"address": PEER}, "families": []}
                writer.write(json.dumps([listed]).encode() + b"\n")
            writer.write(b"done\n")

    writer.write(hello(0, "exabgp 1"))
    carrying = asyncio.create_task(carry())
    try:
        yield got
    finally:
        carrying.cancel()
        with suppress(asyncio.CancelledError):
            await carrying
        writer.close()


async def test_nothing_reaches_the_pipe_that_the_models_did_not_write(embedded_uri: str, tmp_path: Path) -> None:
    chosen = random.Random(os.environ.get("FUZZ_SEED") or 14)
    (tmp_path / "printed").write_bytes(printed(chosen))
    command = f"cat {shlex.quote(str(tmp_path / 'printed'))}; exec cat > /dev/null"
    config, data_dir = tmp_path / "collector.toml", tmp_path / "data"
    nasty = announcing(tmp_path, chosen, ROUNDS)
    assert all(nasty.values()), "some are taken: a why may say much, and a blank beside a number does no harm"
    good = section("[[checks]]", {"name": "good", "ip": LAST_OF_CHECKS, "next_hop": "192.0.2.9", "rise": 1})
    good += section("[[policies]]", {"name": "all", "add_communities": MARK})
    good += section("[[commands]]", {"name": "nasty", "run": command})
    config.write_text(BEGIN + "".join(one for sections in nasty.values() for one in sections) + good)
    database = f"test_{uuid.uuid4().hex[:12]}"
    environment = {"BGPLEDGER_MONGODB_URI": embedded_uri, "BGPLEDGER_MONGODB_DATABASE": database}
    settings = load(config, environ={**environment, "BGPLEDGER_DATA_DIR": str(data_dir)})
    data_dir.mkdir()
    token = tokens.add(data_dir, "noc", "announce", Bounds())
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BGPLEDGER_")}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [BGPLEDGER, "act", "--config", str(config), "--data-dir", str(data_dir)],
            env={**kept, **environment},
            stderr=log,
        ) as process,
    ):
        try:
            async with relaying(data_dir) as got:
                taken = await _by_socket(data_dir, chosen)
                async with Archive.found(settings) as archive, client(archive, settings) as http:
                    taken += await _over_http(http, token, chosen)
                await _typed(data_dir)
                last = {LAST, LAST_OF_COMMAND, LAST_OF_CHECKS}
                await until(lambda: last <= _prefixes(got), what="the last of each")
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert taken, "some are still orders: a why may say much"
    assert len(got) > len(last)
    assert any(MARK.encode() in line for line in got), "rules apply"
    for line in got:
        assert line == b"show neighbor json\n" or LINE.fullmatch(line), line[:300]
    assert all(re.fullmatch(r"203\.0\.113\.\d+/32", one) for one in _prefixes(got))


def _prefixes(got: list[bytes]) -> set[str]:
    return {one.decode() for line in got for one in line.partition(b" nlri ")[2].split()}


async def _by_socket(data_dir: Path, chosen: random.Random) -> int:
    """Orders that no client has checked; how many were taken."""
    reader, writer = await asyncio.open_unix_connection(acting_socket(data_dir))
    bodies = list(orders(chosen))[:: 1 if MORE else 4]
    while len(bodies) < MORE:
        bodies += orders(chosen)
    taken = 0
    for body in bodies:
        order = {"who": "test", "source": "api", **body}
        writer.write(json.dumps({"do": "announce", "order": order}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            taken += b'"ok"' in (await reader.readline())[:5]
    writer.close()
    return taken


async def _over_http(http: Any, token: str, chosen: random.Random) -> int:
    """The same as requests, also such that are no JSON; how many were taken."""
    taken = 0
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for body in list(orders(chosen))[:: 1 if MORE else 6]:
        said = await http.post("/api/v1/announcements", content=json.dumps(body), headers=headers)
        assert said.status_code in (201, 403, 413, 422), said.text[:300]
        taken += said.status_code == 201
    for broken in (b'{"announcements":[', b"\xff", b"\0", b'{"why":"a"}{"do":"relay"}', b"[" * 5000):
        assert (await http.post("/api/v1/announcements", content=broken, headers=headers)).status_code in (400, 422)
    return taken


async def _typed(data_dir: Path) -> None:
    """As arguments, of which each has something nasty; then one that has not."""
    for words in (
        ["203.0.113.7/32", "--next-hop", "192.0.2.9\nshutdown", "--community", "1:2 ] ; shutdown"],
        ["203.0.113.7/32", "--flow", "--match", "ports=53 ]\nshutdown", "--then", "discard"],
    ):
        done = await asyncio.to_thread(
            bgpledger, "--data-dir", str(data_dir), "announce", *words, "--why", "\u2028 shutdown"
        )
        assert done.returncode in (1, 2), done.stdout
        assert "Traceback" not in done.stderr
    last = await asyncio.to_thread(
        bgpledger, "--data-dir", str(data_dir), "announce", LAST, "--next-hop", "192.0.2.9", "--why", "] ; shutdown"
    )
    assert last.returncode == 0, last.stderr


STATEMENT = re.compile(r' *(|\}|([a-z0-9-]+)( [A-Za-z0-9.:/-]+| \[ [a-z]+ \]| "[ !#-&(-\[\]-~]*")*( \{|;))')


def test_nothing_reaches_exabgps_configuration_that_the_settings_did_not_write(tmp_path: Path) -> None:
    chosen = random.Random(os.environ.get("FUZZ_SEED") or 14)
    good = read(tmp_path, speaker(OURS, NEIGHBOR))
    assert good is not None
    taken = list(speaking(tmp_path, chosen, ROUNDS))
    assert taken, "some are taken: a description may say much"
    for settings in taken:
        assert statements(settings) == statements(good)


def statements(settings: Settings) -> list[str | None]:
    """The first words of all lines of ExaBGP's configuration, each of which has to be one statement."""
    lines = [(STATEMENT.fullmatch(line), line) for line in render(settings, ["/bin/a"], ["/bin/b"]).splitlines()]
    assert [line for one, line in lines if not one] == []
    return [one[2] for one, _ in lines if one]
