"""A RIB dump and the hour of updates behind it: any question about any time is answered as bgpdump reads the files.

The table at a time is folded from the lines of `bgpdump -m` alone.
"""

from __future__ import annotations

import json
import os
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import NamedTuple

from tests.endtoend.conftest import Type
from tests.endtoend.test_importing_dumps import T, attributes_of, bgpdump
from tests.mrt_builder import announcement, entry, index, message, rib, state_change, withdrawal

MOMENTS = 100 if os.environ.get("WHOLE_TABLE") else 3
SEED = 5
PEERS = (("192.0.2.1", 64500), ("192.0.2.2", 4_200_000_001))
PREFIXES = [f"10.{number}.0.0/16" for number in range(20)] + [f"10.{number}.128.0/17" for number in range(10)]
END = T + 3600

Table = dict[tuple[str, str], str]
"""The rest of bgpdump's line, by peer and prefix."""


def dump(chance: random.Random) -> bytes:
    routes = [(prefix, [number for number in range(2) if chance.random() < 0.7]) for prefix in PREFIXES]
    return index(*PEERS, time=T) + b"".join(
        rib(prefix, *(entry(attributes_of(chance, six=False), number) for number in numbers), time=T)
        for prefix, numbers in routes
        if numbers
    )


def five_minutes(chance: random.Random, begin: int) -> bytes:
    records = []
    for at in sorted(chance.sample(range(1, 300), 60)):
        address, asn = chance.choice(PEERS)
        prefix, what = chance.choice(PREFIXES), chance.random()
        if what < 0.02:  # down, and up again
            records += [state_change(6, 1, address=address, asn=asn, time=begin + at)]
            records += [state_change(5, 6, address=address, asn=asn, time=begin + at)]
        else:
            said = withdrawal(prefix) if what < 0.3 else announcement(prefix, asn, chance.randrange(1, 9))
            records.append(message(said, address=address, asn=asn, time=begin + at))
    return b"".join(records)


class Line(NamedTuple):
    """A line of `bgpdump -m`."""

    ts: int
    kind: str
    peer: str
    prefix: str
    rest: str

    @classmethod
    def of(cls, text: str) -> Line:
        _, ts, kind, peer, _asn, prefix, *rest = text.split("|")
        return cls(int(ts), kind, peer, prefix, "|".join(rest))


class Tale:
    """What bgpdump reads in the dump, and in the updates behind it."""

    def __init__(self, table: Path, updates: list[Path]) -> None:
        self.dumped = {(line.peer, line.prefix): line.rest for line in map(Line.of, bgpdump(table))}
        self.lines = [Line.of(text) for path in updates for text in bgpdump(path)]
        self._times = [line.ts for line in self.lines]

    def table(self, at: int) -> Table:
        stands = dict(self.dumped)
        for line in self.lines[: bisect_right(self._times, at)]:
            if line.kind == "STATE":  # its prefix is the old state: Established, or not
                stands = {key: rest for key, rest in stands.items() if key[0] != line.peer or line.prefix != "6"}
            elif line.kind == "A":
                stands[line.peer, line.prefix] = line.rest
            else:
                stands.pop((line.peer, line.prefix), None)
        return stands

    def between(self, start: int, end: int) -> Iterator[Line]:
        return (line for line in self.lines if start <= line.ts < end and line.kind in "AW")


def longest(table: Table, address: str) -> Table:
    """Each peer's longest match."""
    found: Table = {}
    for peer, _ in PEERS:
        matches = [IPv4Network(prefix) for one, prefix in table if one == peer]
        matches = [network for network in matches if ip_address(address) in network]
        if matches:
            best = str(max(matches, key=lambda network: network.prefixlen))
            found[peer, best] = table[peer, best]
    return found


def test_any_question_about_any_time_is_answered_as_bgpdump_reads_it(tmp_path: Path, of_an_archive: Type) -> None:
    chance = random.Random(SEED)
    folder = tmp_path / "rrc"
    folder.mkdir()
    (folder / "bview").write_bytes(dump(chance))
    updates = [folder / f"updates.{number:02}" for number in range(12)]
    for number, path in enumerate(updates):
        path.write_bytes(five_minutes(chance, T + 300 * number))
    done = of_an_archive("import", str(folder), "--collector", "rrc")  # one command
    assert done.returncode == 0, done.stderr
    tale = Tale(folder / "bview", updates)

    def lines(*question: str) -> list[Line]:
        return [Line.of(text) for text in of_an_archive(*question, "--format", "bgpdump").stdout.splitlines()]

    def rows(*question: str) -> list[dict[str, object]]:
        return list(map(json.loads, of_an_archive(*question, "--format", "jsonl").stdout.splitlines()))

    for _ in range(MOMENTS):
        one, two = sorted(chance.sample(range(T, END - 300), 2))
        start, end = map(str, (one, two))
        before, after = tale.table(one), tale.table(two)
        assert {(line.peer, line.prefix): line.rest for line in lines("rib", "--at", start)} == before
        address = f"10.{chance.randrange(20)}.{chance.randrange(256)}.1"
        found = lines("lookup", address, "--at", end)
        assert {(line.peer, line.prefix): line.rest for line in found} == longest(after, address)
        changes = {(row["peer"]["address"], row["prefix"]): row["event"] for row in rows("diff", start, end)}  # type: ignore[index]
        assert changes == {
            key: "appeared" if key not in before else "went" if key not in after else "changed"
            for key in before.keys() | after.keys()
            if before.get(key) != after.get(key)
        }
        prefix = chance.choice(PREFIXES)
        said = lines("history", prefix, "-t", start, "-T", end, "-m", "announce,withdraw")
        assert said == [line for line in tale.between(one, two) if line.prefix == prefix]
        counts = Counter(
            (line.peer, line.kind) for line in lines("search", "-t", start, "-T", end) if line.kind in "AW"
        )
        assert counts == Counter((line.peer, line.kind) for line in tale.between(one, two))
        ranked = rows("top", "prefixes", "-t", start, "-T", end, "--limit", "1000")
        announced = Counter(line.prefix for line in tale.between(one, two) if line.kind == "A")
        assert {row["name"]: row["announcements"] for row in ranked} == announced
