"""The recipes for mongosh, run as an analyst runs them, on an archive whose content is known."""

import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from collector.archive.archiver import Archiver
from collector.sources.exabgp.source import EXABGP
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.mongo import Store
from tests.running import collecting
from tests.support import ROOT, Router, missing, until

MONGOSH = ROOT / ".tools/node_modules/.bin/mongosh"
PREFIX = "203.0.113.0/24"
Recipe = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def recipe(data_dir: Path, embedded_uri: str, tmp_path: Path) -> Recipe:
    """Runs a recipe on an archive of two peers, one of which is down."""
    if not MONGOSH.exists():
        missing("mongosh is not installed; `make tools` installs it where npm is")
    edge, gone = Router("192.0.2.1", 64500), Router("192.0.2.2", 64501, start=1.8e9 + 10)
    lines = [
        *edge.up(),
        edge.announce(PREFIX, "10.0.0.0/8", path=(64500, 64496)),
        edge.withdraw(PREFIX),
        edge.withdraw("10.0.0.0/8"),
        edge.announce("10.0.0.0/8", path=(64500, 64496)),
        *gone.up(),
        gone.announce(PREFIX, path=(64501, 64511)),
        gone.announce("2001:db8::/32", "2001:db8:0:8000::/49", path=(64501, 64511)),
        gone.down("peer reset"),
    ]
    with SpoolWriter(data_dir / "spool") as writer:
        writer.write(b"".join(line + b"\n" for line in lines))
    database = f"test_mongosh_{os.getpid()}"
    reader = SpoolReader(data_dir / "spool")
    async with Store.open(embedded_uri, database=database) as store:
        archiver = Archiver(reader, store, source=EXABGP, collector="test")
        archiver.stop()
        await archiver.run()
    reader.close()

    async def run(name: str, *scripts: str) -> list[str]:
        """What it prints after each script, all in one mongosh: most of the time goes into its start."""
        file = ROOT / "conf/mongosh" / name
        *before, last = scripts or ("",)
        evaluated = "".join(f'{script}; load("{file}");\n' for script in before)
        done = subprocess.run(
            [
                *(str(MONGOSH), embedded_uri.replace("/?", f"/{database}?"), "--quiet", "--norc"),
                *("--eval", f"{evaluated}{last}; undefined", "--file", str(file)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    return run


async def test_history(recipe: Recipe) -> None:
    rows = await recipe("history.js", f'var prefix = "{PREFIX}"')
    assert [row.split(" ", 1)[1] for row in rows] == [
        "192.0.2.1 AS64500 announce 64500 64496 via 192.0.2.1",
        "192.0.2.1 AS64500 withdraw",
        "192.0.2.2 AS64501 announce 64501 64511 via 192.0.2.1",
        "192.0.2.2 AS64501 session end peer reset",
    ]


async def test_top_origins(recipe: Recipe) -> None:
    assert await recipe("top-origins.js", "var hours = 1e5") == ["3 AS64496", "3 AS64511"]


async def test_origin(recipe: Recipe) -> None:
    rows = await recipe("origin.js", "var asn = 64511, hours = 1e5", "asn = 64499")
    assert [row.split(" ", 1)[1] for row in rows] == [
        "192.0.2.2 AS64501 64501 64511 2001:db8::/32 2001:db8:0:8000::/49",
        f"192.0.2.2 AS64501 64501 64511 {PREFIX}",
    ]


async def test_search(recipe: Recipe) -> None:
    rows = await recipe("search.js", "var hours = 1e5, asPath = /(^| )64496$/", "asPath = /./, community = /:666$/")
    assert [row.split(" ", 1)[1] for row in rows] == [
        f"192.0.2.1 AS64500 {prefix} 64500 64496" for prefix in (PREFIX, "10.0.0.0/8", "10.0.0.0/8")
    ]


async def test_rib(recipe: Recipe) -> None:
    """Times are those of the lines: a quarter of a second apart; the two peers' first ones are ten seconds apart."""
    now, early, late = f'var prefix = "{PREFIX}"', "var at = new Date(1.8e12 + 1250)", "at = new Date(1.8e12 + 11300)"
    assert await recipe("rib.js", now, f'{early}; print("--")', f'{late}; print("--")') == [
        "--",
        "192.0.2.1 AS64500 64500 64496 via 192.0.2.1 since 2027-01-15T08:00:01.250Z",
        "--",
        "192.0.2.2 AS64501 64501 64511 via 192.0.2.1 since 2027-01-15T08:00:11.250Z",
    ]


async def test_lookup(recipe: Recipe) -> None:
    four = 'var address = "203.0.113.7", at = new Date(1.8e12 + 1250)'
    six = 'address = "2001:DB8:0:ffff::7", at = new Date(1.8e12 + 11600)'
    assert await recipe("lookup.js", four, six) == [
        "192.0.2.1 AS64500 203.0.113.0/24 64500 64496 via 192.0.2.1",
        "192.0.2.2 AS64501 2001:db8:0:8000::/49 64501 64511 via 192.0.2.1",
    ]


async def test_diff(recipe: Recipe) -> None:
    span = "var from = new Date(1.8e12 + 1250), to = new Date(1.8e12 + 11300)"
    went = "192.0.2.1 203.0.113.0/24 went 64500 64496 via 192.0.2.1"
    rows = await recipe("diff.js", f'{span}, prefix = "{PREFIX}"', 'prefix = undefined; var peer = "192.0.2.1"')
    assert rows == [went, "192.0.2.2 203.0.113.0/24 appeared 64501 64511 via 192.0.2.1", went]


async def test_flaps(recipe: Recipe) -> None:
    assert await recipe("flaps.js", "var hours = 1e5") == ["1 10.0.0.0/8"]


async def test_views(recipe: Recipe, embedded_uri: str) -> None:
    assert await recipe("views.js", "", "") == ["peers_now", "routes_said"] * 2
    with MongoClient[dict[str, Any]](embedded_uri) as client:
        database = client[f"test_mongosh_{os.getpid()}"]
        up, down = database.peers_now.find()
        assert (up["peer"], up["asn"], up["state"], up["updates"]) == ("192.0.2.1", 64500, "up", 4)
        assert (down["peer"], down["state"], down["reason"]) == ("192.0.2.2", "down", "peer reset")
        first = {"peer": "192.0.2.1", "ts": {"$lt": datetime.fromtimestamp(1.8e9 + 1.8, UTC)}}
        said = [(one["event"], one["prefix"], one.get("as_path")) for one in database.routes_said.find(first)]
        assert said == [
            ("announce", PREFIX, "64500 64496"),
            ("announce", "10.0.0.0/8", "64500 64496"),
            ("withdraw", PREFIX, None),
            ("withdraw", "10.0.0.0/8", None),
        ]
        six = {"as_path": {"$regex": "64511$"}, "family": "ipv6 unicast"}
        assert [one["prefix"] for one in database.routes_said.find(six)] == ["2001:db8::/32", "2001:db8:0:8000::/49"]


async def test_tail(recipe: Recipe) -> None:
    spoken = """
      var looks = 0;
      sleep = () => {  // in between two looks
        looks += 1;
        if (looks > 1) quit();
        const last = db.updates.findOne({ "peer.address": "192.0.2.1" }, {}, { sort: { ts: -1 } });
        const ts = new Date(last.ts.getTime() + 1000);
        db.updates.insertOne({ ...last, _id: new ObjectId(), ts });
        db.sessions.updateOne({ until: null }, { $inc: { updates: 1 }, $set: { last_seen: ts } });
      };
    """
    (row,) = await recipe("tail.js", spoken)
    assert row.split(" ", 1)[1] == "192.0.2.1 announce 10.0.0.0/8 64500 64496"


async def test_peers_down(recipe: Recipe) -> None:
    (row,) = await recipe("peers-down.js")
    assert row.split(" ", 1)[1] == "192.0.2.2 AS64501 ended by exabgp: peer reset"


async def test_sessions(recipe: Recipe) -> None:
    gone, up = await recipe("sessions.js")
    assert gone.split(" ", 1)[1] == "192.0.2.2 AS64501 ended 0.0 min 2 updates peer reset"
    assert up.split()[1:4] == ["192.0.2.1", "AS64500", "up"]


async def test_the_mongosh_command_that_status_prints_works(data_dir: Path, tmp_path: Path) -> None:
    if not MONGOSH.exists():
        missing("mongosh is not installed; `make tools` installs it where npm is")

    def type_in(*more: str, path: str) -> subprocess.CompletedProcess[str]:
        words = [*shlex.split(shell), *more]
        environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, env=environment)

    with collecting(data_dir) as collector:
        await collector.until_up()
        await until(lambda: collector.status()["stored"], what="something is stored")
        shell = collector.status()["shell"]
    # The collector has ended; the archive is opened for the query.
    path = f"{MONGOSH.parent}:{os.environ['PATH']}"
    asked = ("--quiet", "--norc", "--eval", "`in ${db.getName()}, ${db.meta.countDocuments({}) > 0}`")
    done = type_in(*asked, path=path)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["true"]), done.stdout + done.stderr
    assert (data_dir / "store.password").read_text() not in done.stdout + done.stderr
    done = type_in(path="/nonexistent")
    assert "error: mongosh is not installed" in done.stderr
    assert "cure: " in done.stderr
