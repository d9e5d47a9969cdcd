"""A RIB dump of a large collector is imported in constant memory: `make large-dump`. DUMP_PREFIXES and DUMP_PEERS
set its size.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from zstandard import ZstdCompressor

from tests import mrt_builder as build
from tests.running import BGPLEDGER, bgpledger

T = 1_800_000_000
PREFIXES, PEERS = int(os.environ.get("DUMP_PREFIXES") or 0), int(os.environ.get("DUMP_PEERS") or 40)
MOST_MB = 300
_WAYS = 500
"""Sets of attributes that each peer's routes have."""

pytestmark = pytest.mark.skipif(not PREFIXES, reason="takes minutes: make large-dump")


def records() -> Iterator[bytes]:
    """An index, and prefixes of 24 bits to which every peer has a route."""
    peers = [(f"192.0.2.{number + 1}", 64_500 + number) for number in range(PEERS)]
    yield build.index(*peers, time=T)
    entries = [
        [
            build.entry(build.attributes(asn, 1 + way % 40, 1000 + way, hop=address, community=way), number)
            for number, (address, asn) in enumerate(peers)
        ]
        for way in range(1, _WAYS)
    ]
    for number in range(PREFIXES):
        address = (1 << 24) + (number << 8)
        prefix = ".".join(str(octet) for octet in address.to_bytes(4))
        yield build.rib(f"{prefix}/24", *entries[number % len(entries)], time=T)


@pytest.mark.timeout(0)
def test_a_large_dump_is_imported_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "rib.zst"
    with path.open("wb") as file, ZstdCompressor(level=1).stream_writer(file) as packed:
        for one in records():
            packed.write(one)
    data_dir = ("--data-dir", str(tmp_path / "data"))
    began, peak = time.monotonic(), 0.0
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([BGPLEDGER, *data_dir, "import", str(path), "--collector", "rrc"], stderr=said)
        while process.poll() is None:
            peak = max(peak, most_memory(process.pid))
            time.sleep(0.1)
    told = (tmp_path / "said").read_text()
    print(f"\n{PREFIXES:,} prefixes of {PEERS} peers: {time.monotonic() - began:.0f} s, {peak:.0f} MB at most")
    assert process.returncode == 0, told
    assert f"{PEERS} tables with {PREFIXES * PEERS:,} routes" in told
    assert peak <= MOST_MB
    found = bgpledger(*data_dir, "rib", "1.0.0.0/24", "--at", str(T), "--format", "jsonl")
    assert len(found.stdout.splitlines()) == PEERS, found.stderr


def most_memory(pid: int) -> float:
    """The peak memory of a process so far, in MB; 0 once it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 / 1e6 if found else 0
