"""`bgpledger export` as a newcomer types it: other programs read in its files what `search` answers."""

import asyncio
import json
import os
import re
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import mrtparse  # type: ignore[import-untyped]
import pytest
from pybgpkit_parser import Parser  # type: ignore[import-untyped]

from collector.bgp.mrt import MrtFile
from schemas.json_object import JsonObject
from tests.faults import mongo_proxy as faults
from tests.faults.mongo_proxy import proxy
from tests.running import BGPLEDGER, bgpledger, free_port
from tests.support import ROOT, SHARED, program, until

signal.signal(
    signal.SIGPIPE, signal.SIG_IGN
)  # Python's default: with the one that mrtparse sets, a broken pipe would kill us

DEMO = ROOT / "collector/data/demo.mrt.gz"
FILES = [DEMO, *([SHARED / "mrt/updates.20160811.1600.gz"] if os.environ.get("WHOLE_TABLE") else [])]
_MICROSECONDS = re.compile(r"^(BGP4MP)_ET(\|[0-9]+)\.[0-9]+", re.MULTILINE)


class Imported(NamedTuple):
    path: Path
    ask: Callable[..., subprocess.CompletedProcess[str]]


def bgpdump(path: Path) -> list[str]:
    """What bgpdump reads, without the microseconds that `search --format bgpdump` does not show."""
    done = subprocess.run([program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=True)
    return _MICROSECONDS.sub(r"\1\2", done.stdout).splitlines()


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.name)
def imported(request: pytest.FixtureRequest, embedded_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """A file, and a function that runs commands on the archive into which it was imported."""
    path: Path = request.param
    if not path.exists():
        pytest.skip(f"{path} is not here")
    store: JsonObject = {
        "BGPLEDGER_MONGODB_URI": embedded_uri,
        "BGPLEDGER_MONGODB_DATABASE": f"export_{uuid.uuid4().hex[:12]}",
    }
    store["BGPLEDGER_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    ask = partial(bgpledger, **store)
    assert ask("import", str(path)).returncode == 0
    return Imported(path, ask)


def test_other_programs_read_in_mrt_what_search_answers(tmp_path: Path, imported: Imported) -> None:
    path, ask = imported
    file, again = tmp_path / "out.mrt", tmp_path / "out.mrt.gz"
    done = ask("export", "--all", str(file))
    assert done.returncode == 0, done.stderr
    assert " records in " in done.stderr
    assert "without" not in done.stderr
    assert "left out" not in done.stderr
    dumped = bgpdump(file)
    assert dumped == bgpdump(path)
    found = ask("search", "--all", "--elem", "announce,withdraw", "--format", "bgpdump").stdout
    routes = [line for line in dumped if line.split("|")[2] in "AW"]
    assert routes == found.splitlines()
    assert sum(1 for _ in Parser(url=str(file))) == len(routes)
    records = list(mrtparse.Reader(str(file)))
    assert not any(record.err for record in records)
    assert len(records) == int(done.stderr.split(" records")[0].splitlines()[-1].replace(",", ""))
    assert ask("export", "--all", str(again)).returncode == 0
    assert bgpdump(again) == dumped


def test_other_programs_read_in_a_dump_what_rib_answers(tmp_path: Path, imported: Imported) -> None:
    path, ask = imported
    file = tmp_path / "rib.mrt.bz2"
    at = ("--at", middle_of(path))
    done = ask("export", "--table", *at, str(file))
    assert done.returncode == 0, done.stderr
    standing = ask("rib", *at, "--format", "bgpdump").stdout.splitlines()
    assert standing
    assert sorted(bgpdump(file)) == sorted(standing)
    assert sum(1 for _ in Parser(url=str(file))) == len(standing)
    records = list(mrtparse.Reader(str(file)))
    assert not any(record.err for record in records)
    assert len(records) == 1 + len({line.split("|")[5] for line in standing})
    prefixes = [(":" in line.split("|")[5], ip_network(line.split("|")[5])) for line in bgpdump(file)]
    assert prefixes == sorted(prefixes, key=lambda one: (one[0], one[1].network_address.packed, one[1].prefixlen))
    # GoBGP 3.10 reads no IPv6 entries as RFC 6396 4.3.4 has them (gobgp#2649).
    ipv4 = tmp_path / "ipv4.mrt"
    assert ask("export", "--table", *at, "--family", "ipv4", str(ipv4)).returncode == 0
    wanted = [line.split("|") for line in standing if ":" not in line.split("|")[5]]
    routes = sorted((one[5], one[6], one[8]) for one in wanted)
    with running_gobgpd(tmp_path) as gobgp, injecting(gobgp, ipv4):

        def injected() -> list[tuple[str, str, str]]:
            said = subprocess.run([*gobgp, "-j", "global", "rib", "-a", "ipv4"], capture_output=True, check=True).stdout
            return sorted(map(told_by_gobgp, flat(json.loads(said))))

        asyncio.run(until(lambda: injected() == routes, what="the routes in GoBGP"))


@pytest.mark.parametrize("output", ["one.parquet", "folder/"])
def test_duckdb_and_polars_count_in_parquet_what_search_answers(
    tmp_path: Path, imported: Imported, output: str
) -> None:
    import duckdb  # here, as every process that runs tests would import them
    import polars as pl

    done = imported.ask("export", "--all", "--format", "parquet", f"{tmp_path}/{output}")
    assert done.returncode == 0, done.stderr
    found = imported.ask("search", "--all", "--format", "bgpdump").stdout.splitlines()
    assert done.stderr.splitlines()[-1].startswith(f"{len(found):,} rows in ")
    pattern = f"{tmp_path}/**/*.parquet"
    asked = f"select action, peer, peer_asn, prefix, as_path_text, next_hop from read_parquet('{pattern}')"
    rows = Counter(tuple(map(str, row[:4])) for row in duckdb.execute(asked).fetchall())
    actions = {"5|6": "up", "6|1": "down"}
    lines = [line.split("|") for line in found]
    assert rows == Counter(
        (actions["|".join(one[5:7])], one[3], one[4], "None") if one[2] == "STATE" else (one[2], one[3], one[4], one[5])
        for one in lines
    )
    announced = duckdb.execute(f"{asked} where action = 'A'").fetchall()
    assert sorted(row[3:] for row in announced) == sorted((one[5], one[6], one[8]) for one in lines if one[2] == "A")
    scanned = pl.scan_parquet(f"{tmp_path}/{output}", hive_partitioning=output.endswith("/"))
    assert scanned.select(pl.len()).collect().item() == len(found)
    if output.endswith("/"):
        assert {"router", "day"} <= set(scanned.collect_schema().names())


def test_tshark_reads_a_capture_without_a_complaint(tmp_path: Path, imported: Imported) -> None:
    file, packets = tmp_path / "out.pcap", tmp_path / "again.mrt"
    done = imported.ask("export", "--all", "--format", "pcap", str(file))
    assert done.returncode == 0, done.stderr
    checked = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-n", "-r", str(file))
    faults = "tcp.analysis.flags || _ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
    assert tshark(*checked, "-Y", f"{faults} || _ws.expert.severity > 2097152") == []  # more than a chat
    updates = [
        kind for line in tshark(*checked, "-Y", "bgp", "-T", "fields", "-e", "bgp.type") for kind in line.split(",")
    ]
    assert imported.ask("export", "--all", "--elem", "announce,withdraw", str(packets)).returncode == 0
    assert updates.count("2") >= len(list(mrtparse.Reader(str(packets))))
    assert updates.count("1") >= 2
    printed = subprocess.run(
        [program("tcpdump"), "-n", "-v", "-r", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert "(correct)" in printed
    assert not re.search(r"incorrect|bad cksum|\[\||invalid|truncated", printed)


async def test_ctrl_c_leaves_the_earlier_file_unchanged(tmp_path: Path, imported: Imported) -> None:
    file = tmp_path / "out.mrt"
    file.write_bytes(b"of before")
    store: dict[str, str] = imported.ask.keywords  # type: ignore[attr-defined]
    async with proxy(urlsplit(store["BGPLEDGER_MONGODB_URI"]).port or 0) as between:
        await between.set(faults.never_answering_finds("updates"))
        exporting = await asyncio.create_subprocess_exec(
            *(BGPLEDGER, "export", "--all", str(file)),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **store, "BGPLEDGER_MONGODB_URI": between.uri()},
        )
        await until(lambda: len(list(tmp_path.iterdir())) > 1, what="it writes")
        exporting.send_signal(signal.SIGINT)
        _, said = await exporting.communicate()
    assert (exporting.returncode, said) == (130, b"interrupted; no unfinished file is left\n")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("out.mrt", b"of before")]


def tshark(*words: str) -> list[str]:
    done = subprocess.run([program("tshark"), *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def middle_of(path: Path) -> str:
    """A moment at which all peers have said something."""
    lines = bgpdump(path)
    return lines[len(lines) // 2].split("|")[1]


@contextmanager
def running_gobgpd(directory: Path) -> Iterator[list[str]]:
    """A GoBGP without peers; gives the first words of its commands."""
    api = str(free_port())
    (directory / "gobgpd.toml").write_text('[global.config]\nas = 64999\nrouter-id = "192.0.2.254"\nport = -1\n')
    command = [program("gobgpd"), "-f", "gobgpd.toml", "--api-hosts", f"127.0.0.1:{api}", "--pprof-disable"]
    gobgp = [program("gobgp"), "-p", api]
    log = (directory / "gobgpd.log").open("wb")
    with log, subprocess.Popen(command, cwd=directory, stdout=log, stderr=log) as process:
        try:
            up = [*gobgp, "global"]
            asyncio.run(until(lambda: subprocess.run(up, capture_output=True, check=False).returncode == 0))
            yield gobgp
        finally:
            process.kill()


@contextmanager
def injecting(gobgp: Sequence[str], dump: Path) -> Iterator[None]:
    """GoBGP injects a dump, whose end it does not see before the block ends.

    Its `mrt inject` ends at once then, and what it has not sent by then is lost.
    """
    command = [*gobgp, "mrt", "inject", "global", "/dev/stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        for frame in MrtFile(dump).frames():
            process.stdin.write(frame.raw)  # at once: it does not read on where a read gives half a record
        yield
    assert process.returncode == 0


def flat(injected: dict[str, list[Any]]) -> Iterator[JsonObject]:
    for paths in injected.values():
        yield from paths


def told_by_gobgp(path: JsonObject) -> tuple[str, str, str]:
    """Prefix, AS path and next hop."""
    attributes = {one["type"]: one for one in path["attrs"]}
    asns = [asn for segment in attributes[2]["as_paths"] for asn in segment["asns"]]
    return path["nlri"]["prefix"], " ".join(map(str, asns)), attributes[3]["nexthop"]


def test_files_that_cannot_be_written_are_reported_with_a_cure(tmp_path: Path, imported: Imported) -> None:
    for arguments, cause in (
        (("--all", "--peer", "203.0.113.99", str(tmp_path / "out")), "no file is written"),
        (("--all", str(tmp_path / "none" / "out")), "No such file or directory"),
        (("--table", "--start", "2h", str(tmp_path / "out")), "a table is of one time"),
        (("--prefix", "10.0.0.0/33", str(tmp_path / "out")), "is not a prefix"),
    ):
        done = imported.ask("export", *arguments)
        assert (done.returncode != 0, cause in done.stderr, "cure:" in done.stderr) == (True, True, True), done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
