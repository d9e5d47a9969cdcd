"""The recipes for mongosh, run as an analyst runs them, on an archive whose content is known."""

import asyncio
import os
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo import MongoClient

from collector.archive.archiver import Archiver
from collector.sources.exabgp.source import EXABGP
from collector.spool.reader import SpoolReader
from collector.spool.writer import SpoolWriter
from collector.store.driver import Document
from collector.store.mongo import Store
from tests.running import collecting
from tests.support import ROOT, Router, missing, until

MONGOSH = ROOT / ".tools/node_modules/.bin/mongosh"
PREFIX = "203.0.113.0/24"
EARLY, LATE = "var at = new Date(1.8e12 + 1250)", "var at = new Date(1.8e12 + 11600)"
"""Times are those of the lines: a quarter of a second apart; the two peers' first ones are ten seconds apart."""
SPAN = "var from = new Date(1.8e12 + 1250), to = new Date(1.8e12 + 11300)"
SCRIPTS = {
    "history": [f'var prefix = "{PREFIX}"'],
    "top-origins": ["var hours = 1e5"],
    "origin": ["var asn = 64511, hours = 1e5", "var asn = 64499, hours = 1e5"],
    "search": ["var hours = 1e5, asPath = /(^| )64496$/", "var hours = 1e5, community = /:666$/"],
    "rib": [f'var prefix = "{PREFIX}"', f'var prefix = "{PREFIX}"; {EARLY}', f'var prefix = "{PREFIX}"; {LATE}'],
    "lookup": [f'var address = "203.0.113.7"; {EARLY}', f'var address = "2001:DB8:0:ffff::7"; {LATE}'],
    "diff": [f'{SPAN}, prefix = "{PREFIX}"', f'{SPAN}, peer = "192.0.2.1"'],
    "flaps": ["var hours = 1e5"],
    "peers-down": [""],
    "sessions": [""],
    "views": ["", ""],
}
"""What is evaluated before each recipe; each of these is another query."""
NOTHING = "var address, asn, asPath, at, community, from, hours, peer, prefix, to"


def needed() -> None:
    if not MONGOSH.exists():
        missing("mongosh is not installed; `make tools` installs it where npm is")


async def fill(data_dir: Path, uri: str, database: str) -> None:
    """An archive of two peers, one of which is down."""
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
    reader = SpoolReader(data_dir / "spool")
    async with Store.open(uri, database=database) as store:
        archiver = Archiver(reader, store, source=EXABGP, collector="test")
        archiver.stop()
        await archiver.run()
    reader.close()


def mongosh(uri: str, database: str, home: Path, *words: str) -> list[str]:
    """The lines that it prints."""
    done = subprocess.run(
        [str(MONGOSH), uri.replace("/?", f"/{database}?"), "--quiet", "--norc", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "HOME": str(home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def file(recipe: str) -> Path:
    return ROOT / "conf/mongosh" / f"{recipe}.js"


Printed = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def database() -> str:
    return f"test_mongosh_{os.getpid()}"


@pytest.fixture(scope="module")
def printed(embedded_uri: str, database: str, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """What each recipe prints after each of its scripts, all in one mongosh: most of the time goes into its start."""
    needed()
    home = tmp_path_factory.mktemp("mongosh")
    asyncio.run(fill(home / "data", embedded_uri, database))
    runs = [(name, script) for name, scripts in SCRIPTS.items() for script in scripts]
    reset = NOTHING.replace(",", " = undefined,") + " = undefined"
    words = "".join(f'print("--"); {reset}; {script}; load("{file(name)}");\n' for name, script in runs)
    parts: list[list[str]] = []
    for line in mongosh(embedded_uri, database, home, "--eval", f"{words}undefined"):
        if line == "--":
            parts.append([])
        else:
            parts[-1].append(line)
    found: Printed = {name: [] for name in SCRIPTS}
    for (name, _), rows in zip(runs, parts, strict=True):
        found[name].append(rows)
    return found


def untimed(rows: list[str]) -> list[str]:
    """Without the time at the beginning."""
    return [row.split(" ", 1)[1] for row in rows]


def test_history(printed: Printed) -> None:
    (rows,) = printed["history"]
    assert untimed(rows) == [
        "192.0.2.1 AS64500 announce 64500 64496 via 192.0.2.1",
        "192.0.2.1 AS64500 withdraw",
        "192.0.2.2 AS64501 announce 64501 64511 via 192.0.2.1",
        "192.0.2.2 AS64501 session end peer reset",
    ]


def test_top_origins(printed: Printed) -> None:
    assert printed["top-origins"] == [["3 AS64496", "3 AS64511"]]


def test_origin(printed: Printed) -> None:
    rows, of_another = printed["origin"]
    assert untimed(rows) == [
        "192.0.2.2 AS64501 64501 64511 2001:db8::/32 2001:db8:0:8000::/49",
        f"192.0.2.2 AS64501 64501 64511 {PREFIX}",
    ]
    assert of_another == []


def test_search(printed: Printed) -> None:
    by_path, by_community = printed["search"]
    assert untimed(by_path) == [
        f"192.0.2.1 AS64500 {prefix} 64500 64496" for prefix in (PREFIX, "10.0.0.0/8", "10.0.0.0/8")
    ]
    assert by_community == []


def test_rib(printed: Printed) -> None:
    assert printed["rib"] == [
        [],
        ["192.0.2.1 AS64500 64500 64496 via 192.0.2.1 since 2027-01-15T08:00:01.250Z"],
        ["192.0.2.2 AS64501 64501 64511 via 192.0.2.1 since 2027-01-15T08:00:11.250Z"],
    ]


def test_lookup(printed: Printed) -> None:
    assert printed["lookup"] == [
        ["192.0.2.1 AS64500 203.0.113.0/24 64500 64496 via 192.0.2.1"],
        ["192.0.2.2 AS64501 2001:db8:0:8000::/49 64501 64511 via 192.0.2.1"],
    ]


def test_diff(printed: Printed) -> None:
    went = "192.0.2.1 203.0.113.0/24 went 64500 64496 via 192.0.2.1"
    assert printed["diff"] == [[went, "192.0.2.2 203.0.113.0/24 appeared 64501 64511 via 192.0.2.1"], [went]]


def test_flaps(printed: Printed) -> None:
    assert printed["flaps"] == [["1 10.0.0.0/8"]]


def test_views(printed: Printed, embedded_uri: str, database: str) -> None:
    assert printed["views"] == [["peers_now", "routes_said"]] * 2
    with MongoClient[Document](embedded_uri) as client:
        views = client[database]
        up, down = views.peers_now.find()
        assert (up["peer"], up["asn"], up["state"], up["updates"]) == ("192.0.2.1", 64500, "up", 4)
        assert (down["peer"], down["state"], down["reason"]) == ("192.0.2.2", "down", "peer reset")
        first = {"peer": "192.0.2.1", "ts": {"$lt": datetime.fromtimestamp(1.8e9 + 1.8, UTC)}}
        said = [(one["event"], one["prefix"], one.get("as_path")) for one in views.routes_said.find(first)]
        assert said == [
            ("announce", PREFIX, "64500 64496"),
            ("announce", "10.0.0.0/8", "64500 64496"),
            ("withdraw", PREFIX, None),
            ("withdraw", "10.0.0.0/8", None),
        ]
        six = {"as_path": {"$regex": "64511$"}, "family": "ipv6 unicast"}
        assert [one["prefix"] for one in views.routes_said.find(six)] == ["2001:db8::/32", "2001:db8:0:8000::/49"]


def test_peers_down(printed: Printed) -> None:
    ((row,),) = printed["peers-down"]
    assert untimed([row]) == ["192.0.2.2 AS64501 ended by exabgp: peer reset"]


def test_sessions(printed: Printed) -> None:
    ((gone, up),) = printed["sessions"]
    assert untimed([gone]) == ["192.0.2.2 AS64501 ended 0.0 min 2 updates peer reset"]
    assert up.split()[1:4] == ["192.0.2.1", "AS64500", "up"]


async def test_tail(embedded_uri: str, tmp_path: Path) -> None:
    """As an analyst runs a recipe."""
    needed()
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
    tailed = f"test_mongosh_tail_{os.getpid()}"
    await fill(tmp_path / "data", embedded_uri, tailed)
    (row,) = mongosh(embedded_uri, tailed, tmp_path, "--eval", f"{spoken}; undefined", "--file", str(file("tail")))
    assert untimed([row]) == ["192.0.2.1 announce 10.0.0.0/8 64500 64496"]


def test_each_recipe_is_run() -> None:
    assert {path.stem for path in (ROOT / "conf/mongosh").glob("*.js")} == {*SCRIPTS, "tail"}


async def test_the_mongosh_command_that_status_prints_works(data_dir: Path, tmp_path: Path) -> None:
    needed()

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
