"""Dumps that GoBGP and FRR write, imported: the archive has what bgpdump reads in them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.routers import LOCAL_AS, Bird, Frr, Route
from tests.running import bgpledger, free_port
from tests.support import program, until

ROUTES = (
    Route("10.1.0.0/16", 10, ("65001:1", "65001:2")),
    Route("10.2.0.0/24", 20),
    Route("2001:db8:1::/48", 30, ("65001:3",), ("65001:1:2",)),
)
# GoBGP dumps tables once a minute at most, for which only `make whole-table` waits.
GOBGP_TABLES = bool(os.environ.get("WHOLE_TABLE"))
GOBGP = """
[global.config]
as = {asn}
router-id = "10.0.0.1"
port = {port}
local-address-list = ["127.0.0.1"]
[[neighbors]]
[neighbors.config]
neighbor-address = "{peer.address}"
peer-as = {peer.asn}
[neighbors.transport.config]
passive-mode = true
local-address = "127.0.0.1"
[[neighbors.afi-safis]]
config.afi-safi-name = "ipv4-unicast"
[[neighbors.afi-safis]]
config.afi-safi-name = "ipv6-unicast"
[[mrt-dump]]
[mrt-dump.config]
dump-type = "updates"
file-name = "updates"
[[mrt-dump]]
[mrt-dump.config]
dump-type = "table"
file-name = "table"
dump-interval = 60
"""
FRR = """
router bgp {asn}
 bgp router-id 10.0.0.1
 no bgp ebgp-requires-policy
 neighbor {peer.address} remote-as {peer.asn}
 neighbor {peer.address} passive
 neighbor {peer.address} ebgp-multihop 2
 neighbor {peer.address} disable-connected-check
 address-family ipv6 unicast
  neighbor {peer.address} activate
 exit-address-family
exit
dump bgp all updates
dump bgp routes-mrt table 1
"""


class Distant(Bird):
    """A route whose next hop is not on the loopback: FRR treats such a one as withdrawn."""

    next_hop = "192.0.2.42"


@contextmanager
def running(directory: Path, *command: str) -> Iterator[None]:
    """Run a daemon until the block ends."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def bgpdump(path: Path) -> list[str]:
    """What bgpdump reads in a file; nothing if it is not there yet."""
    if not path.exists():
        return []
    return subprocess.run(
        [program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=False
    ).stdout.splitlines()


def prefixes(path: Path, kinds: str) -> set[str]:
    return {line.split("|")[5] for line in bgpdump(path) if line.split("|")[2] in kinds}


def newest(path: Path) -> int:
    """The time of the last record, in seconds."""
    return max((int(float(line.split("|")[1])) for line in bgpdump(path)), default=0)


async def talk(peer: Bird, directory: Path, *, tables: bool = True) -> None:
    """Routes are announced, one changes and one is withdrawn; then the remaining table is dumped."""
    updates, table = directory / "updates", directory / "table"
    await until(updates.exists, what="the daemon is up")
    peer.announce(*ROUTES)
    await until(lambda: prefixes(updates, "A") >= {one.prefix for one in ROUTES}, what="they are dumped")
    peer.announce(ROUTES[0]._replace(med=11), ROUTES[2])
    await until(lambda: ROUTES[1].prefix in prefixes(updates, "W"), what="the withdrawal is dumped")
    left = {one.prefix for one in peer.routes}
    # A table dumped in the second of the last UPDATE may be older than it.
    told = newest(updates)
    await until(
        lambda: not tables or (prefixes(table, "B") == left and newest(table) > told), what="the table is dumped"
    )


def assert_is_stored(directory: Path, *, rejects: bool = False, tables: bool = True) -> None:
    """Import what a daemon dumped, first the UPDATEs and then the table they led to, and query all of it."""
    updates, table = directory / "updates", directory / "table"
    archive = ("--data-dir", str(directory / "data"))
    for file in (updates, table) if tables else (updates,):
        done = bgpledger(*archive, "import", str(file))
        assert (done.returncode, "differ" in done.stderr) == (0, False), done.stderr
        assert (", 1 of them rejected\n" in done.stderr) == (rejects and file == updates), done.stderr
    found = bgpledger(*archive, "search", "--all", "--format", "bgpdump").stdout.splitlines()
    routes = [seconds_of(line) for line in bgpdump(updates) if line.split("|")[2] in "AW"]
    assert [line for line in found if line.split("|")[2] in "AW"] == routes
    if tables:
        lines = bgpdump(table)
        standing = bgpledger(*archive, "rib", "--at", lines[0].split("|")[1], "--format", "bgpdump").stdout
        assert sorted(standing.splitlines()) == sorted(lines)


def seconds_of(line: str) -> str:
    """A line of bgpdump without the microseconds, which ours do not show."""
    form, at, rest = line.split("|", 2)
    return f"{form.removesuffix('_ET')}|{at.partition('.')[0]}|{rest}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory into which the daemon writes."""
    program("bgpdump")
    (made := tmp_path / "daemon").mkdir()
    return made


async def test_dumps_of_gobgpd_are_stored_as_bgpdump_reads_them(tmp_path: Path, directory: Path) -> None:
    peer = Distant(tmp_path / "peer", port := free_port(), 42)
    (directory / "gobgpd.toml").write_text(GOBGP.format(asn=LOCAL_AS, port=port, peer=peer))
    api = ("--api-hosts", f"127.0.0.1:{free_port()}", "--pprof-disable")
    with peer, running(directory, program("gobgpd"), "-f", "gobgpd.toml", *api):
        await talk(peer, directory, tables=GOBGP_TABLES)
    assert_is_stored(directory, tables=GOBGP_TABLES)


async def test_dumps_of_frr_are_stored_as_bgpdump_reads_them(tmp_path: Path, directory: Path) -> None:
    own = Frr(directory, 0, 1)
    peer = Distant(tmp_path / "peer", own.port, 43)
    (directory / "frr.conf").write_text(FRR.format(asn=LOCAL_AS, peer=peer))
    with peer, running(directory, *own.command()):
        await talk(peer, directory)
    # When it ends, FRR dumps a change of state of a peer without address family: itself.
    assert_is_stored(directory, rejects=True)
