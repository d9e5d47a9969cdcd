"""RIB dumps by the command line: queries answer what bgpdump reads in them, line for line, at any time."""

import random
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.archive.importing import Importer
from collector.archive.selection import Selection
from collector.dumps.importer import DumpImporter
from collector.query.rib import RibQuery, rib
from collector.sources.mrt.source import MRT
from collector.store.mongo import Store
from tests import mrt_builder as build
from tests.endtoend.conftest import Type
from tests.mrt_builder import attributes, entry, index, message
from tests.support import SHARED, program

T = 1_800_000_000
PEERS = (("192.0.2.1", 64500), ("192.0.2.2", 4_200_000_001), ("2001:db8::3", 64502))
V4 = [f"10.{number}.0.0/16" for number in range(40)]
V6 = [f"2001:db8:{number:x}::/48" for number in range(1, 20)]


def attributes_of(chance: random.Random, *, six: bool, as4: bool = True) -> bytes:
    """The attributes of a route."""
    path = [chance.randrange(1, 60_000) for _ in range(chance.randrange(1, 6))]
    hop = f"2001:db8::{chance.randrange(1, 9)}" if six else f"192.0.2.{chance.randrange(1, 9)}"
    community = chance.choice((0, 65535 << 16 | 65281, 64500 << 16 | 7))
    return attributes(*path, as4=as4, hop=hop, full=chance.random() < 0.5, community=community)


def v2(chance: random.Random, at: int = T) -> bytes:
    """A TABLE_DUMP_V2 file: tables of three peers, some with path identifiers."""
    records = [index(*PEERS, time=at)]
    for prefix in V4 + V6:
        path_ids = [1, 7] if chance.random() < 0.1 else [None]
        entries = [
            entry(
                attributes_of(chance, six=":" in prefix),
                number,
                originated=at - chance.randrange(1, 99999),
                path_id=path_id,
            )
            for number in range(len(PEERS))
            if chance.random() < 0.7
            for path_id in path_ids
        ]
        if entries:
            records.append(build.rib(prefix, *entries, time=at))
    return b"".join(records)


def v1(chance: random.Random) -> bytes:
    """A TABLE_DUMP file of two peers, in which each record has the time at which it was written."""
    peers = {False: PEERS[0], True: ("2001:db8::7", 64507)}
    return b"".join(
        build.old_rib(
            prefix,
            attributes_of(chance, six=":" in prefix, as4=False),
            *peers[":" in prefix],
            sequence=number,
            originated=T - 5,
            time=T + number // 30,
        )
        for number, prefix in enumerate(V4 + V6)
    )


def bgpdump(path: Path) -> list[str]:
    printed = subprocess.run([program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=True)
    return printed.stdout.splitlines()


def of_table(line: str) -> str:
    """A line of bgpdump without the record type and the time."""
    form, _, rest = line.split("|", 2)
    return f"{form.endswith('_AP')}|{rest}"


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_a_dump_is_in_the_archive_as_bgpdump_reads_it(tmp_path: Path, of_an_archive: Type, form: str) -> None:
    path = tmp_path / "rib"
    path.write_bytes({"v1": v1, "v2": v2}[form](random.Random(7)))
    looked = of_an_archive("import", str(path), "--dry-run")
    done = of_an_archive("import", str(path), "--collector", "rrc")
    assert (done.returncode, looked.returncode) == (0, 0), done.stderr
    dumped = bgpdump(path)
    assert f" tables with {len(dumped)} routes" in done.stderr
    assert f" tables with {len(dumped)} routes" in looked.stderr
    found = of_an_archive("rib", "--at", str(T), "--format", "bgpdump")
    assert sorted(map(of_table, found.stdout.splitlines())) == sorted(map(of_table, dumped))
    told = of_an_archive("history", V4[0], "--format", "bgpdump").stdout.splitlines()
    assert sorted(map(of_table, (line for line in told if "|B|" in line))) == sorted(
        of_table(line) for line in dumped if f"|{V4[0]}|" in line
    )


def test_a_dump_and_updates_of_gobgpd(of_an_archive: Type) -> None:
    paths = [SHARED / f"mrt/gobgpd-3.10-{kind}.mrt" for kind in ("table", "updates")]
    if not all(path.exists() for path in paths):
        pytest.skip(f"{paths[0]} is not here")
    done = of_an_archive("import", *map(str, paths))
    assert done.returncode == 0, done.stderr
    first = [line for line in bgpdump(paths[0]) if "|B|" in line]
    at = first[0].split("|")[1]
    assert of_an_archive("rib", "--at", at, "--format", "bgpdump").stdout.splitlines() == first


def folded(dump: list[str], updates: list[str]) -> Iterator[tuple[int, set[tuple[str, ...]]]]:
    """The routes that bgpdump's lines result in, after each second of updates: peer, prefix, path, next hop."""
    stand = {(cells[3], cells[5]): (cells[6], cells[8]) for cells in (line.split("|") for line in dump)}
    second = int(dump[0].split("|")[1])
    for line in updates:
        _, at, kind, peer, _, prefix, *rest = line.split("|")
        if int(at) > second:
            yield second, {(*key, *route) for key, route in stand.items()}
        second = int(at)
        if kind == "A":
            stand[peer, prefix] = rest[0], rest[2]
        else:
            stand.pop((peer, prefix), None)


async def test_the_table_at_a_hundred_times_is_what_bgpdump_reads(tmp_path: Path, embedded_uri: str) -> None:
    chance, dump, updates = random.Random(3), tmp_path / "rib", tmp_path / "updates"
    records = [index(*PEERS, time=T)]
    records += [
        build.rib(prefix, *(entry(attributes_of(chance, six=False), number) for number in range(2)), time=T)
        for prefix in V4
    ]
    dump.write_bytes(b"".join(records))
    spoken = []
    for number in range(400):
        address, asn = PEERS[chance.randrange(2)]
        prefix = chance.choice(V4)
        what = build.withdrawal(prefix) if chance.random() < 0.3 else build.announcement(prefix, asn, number + 1)
        spoken.append(message(what, address=address, asn=asn, time=T + 1 + number // 3))
    updates.write_bytes(b"".join(spoken))
    importing: Any = {"source": MRT, "collector": "rrc", "selection": Selection()}
    times = 0
    async with Store.open(embedded_uri, database=f"test_{uuid.uuid4().hex}") as store:
        await DumpImporter(store, **importing).take(dump)
        await Importer(store, **importing).take(updates)
        for second, expected in folded(bgpdump(dump), bgpdump(updates)):
            question = RibQuery(at=datetime.fromtimestamp(second + 0.5, UTC))
            found = {(one.peer.address, one.prefix, one.as_path, one.next_hop) async for one in rib(store, question)}
            assert found == expected, second
            times += 1
    assert times >= 100
