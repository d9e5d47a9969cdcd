"""What GoBGP dumps itself, imported: the same that bgpdump reads in it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.routers import LOCAL_AS, Bird, Route, Router
from tests.running import bgpledger, free_port
from tests.support import program, until

ROUTES = (
    Route("10.1.0.0/16", 10, ("65001:1", "65001:2")),
    Route("10.2.0.0/24", 20),
    Route("2001:db8:1::/48", 30, ("65001:3",), ("65001:1:2",)),
)
GOBGPD = """
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
"""


@contextmanager
def running(directory: Path, *command: str) -> Iterator[None]:
    """A daemon until the block ends."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def bgpdump(path: Path) -> list[str]:
    """What bgpdump reads; nothing of a file that is not there yet."""
    if not path.exists():
        return []
    return subprocess.run(
        [program("bgpdump"), "-m", str(path)], capture_output=True, text=True, check=False
    ).stdout.splitlines()


def prefixes(path: Path, kinds: str) -> set[str]:
    return {line.split("|")[5] for line in bgpdump(path) if line.split("|")[2] in kinds}


async def talk(peer: Router, dumped: Path) -> None:
    """Routes come, one changes and one goes."""
    await until(dumped.exists, what="the daemon is up")
    peer.announce(*ROUTES)
    await until(lambda: prefixes(dumped, "A") >= {one.prefix for one in ROUTES}, what="they are dumped")
    peer.announce(ROUTES[0]._replace(med=11), ROUTES[2])
    await until(lambda: ROUTES[1].prefix in prefixes(dumped, "W"), what="the withdrawal is dumped")


def assert_is_stored(dumped: Path, data_dir: Path) -> None:
    words = ("--data-dir", str(data_dir))
    done = bgpledger(*words, "import", str(dumped))
    assert (done.returncode, "rejected" in done.stderr) == (0, False), done.stderr
    found = bgpledger(*words, "search", "--all", "--format", "bgpdump").stdout.splitlines()
    routes = [line for line in bgpdump(dumped) if line.split("|")[2] in "AW"]
    assert routes
    assert [line for line in found if line.split("|")[2] in "AW"] == [seconds_of(line) for line in routes]


def seconds_of(line: str) -> str:
    """A line of bgpdump's without the microseconds that ours do not show."""
    form, at, rest = line.split("|", 2)
    return f"{form.removesuffix('_ET')}|{at.partition('.')[0]}|{rest}"


async def test_what_gobgpd_dumps(tmp_path: Path) -> None:
    directory, port = tmp_path / "gobgpd", free_port()
    directory.mkdir()
    peer = Bird(tmp_path / "peer", port, 42)
    config = GOBGPD.format(asn=LOCAL_AS, port=port, peer=peer)
    (directory / "gobgpd.toml").write_text(config)
    api = f"127.0.0.1:{free_port()}"
    with running(directory, program("gobgpd"), "-f", "gobgpd.toml", "--api-hosts", api, "--pprof-disable"), peer:
        await talk(peer, directory / "updates")
    assert_is_stored(directory / "updates", tmp_path / "data")


@pytest.fixture(autouse=True)
def _bgpdump_is_here() -> None:
    program("bgpdump")
