"""`bgpledger import` of captures: the archive then has what tshark reads in them."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from collector.sources.pcap.records import Capture
from collector.sources.pcap.source import PCAP
from collector.sources.source import Rejection
from schemas.json_object import JsonObject
from tests import capture_builder as build
from tests.capture_builder import Frame
from tests.endtoend.conftest import Type
from tests.support import missing, program
from tests.unit.test_captures import announced, conversation

BGP = "bgp.update.path_attribute"
FIELDS = (
    *("frame.time_epoch", "ip.src", "ipv6.src", "bgp.type", "bgp.nlri_prefix", "bgp.withdrawn_prefix"),
    *("bgp.mp_reach_nlri_ipv6_prefix", "bgp.mp_unreach_nlri_ipv6_prefix", f"{BGP}.as_path_segment.as4"),
    *(f"{BGP}.origin", f"{BGP}.multi_exit_disc", f"{BGP}.community_as", f"{BGP}.community_value"),
)
ORIGINS = ("igp", "egp", "incomplete")
TYPES = {"open": "1", "update": "2", "eor": "2", "notification": "3", "keepalive": "4", "refresh": "5"}
MessagesByPeer = dict[tuple[str, str], list[list[str]]]
"""By time, in microseconds, and sender: types, prefixes announced, withdrawn, AS paths, origins, MEDs, communities."""


def of_tshark(path: Path) -> MessagesByPeer:
    """What tshark reads in each packet."""
    options = ["-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "bgp", "-T", "fields", "-E", "separator=|"]
    wanted = [word for field in FIELDS for word in ("-e", field)]
    command = [program("tshark"), "-r", str(path), *options, *wanted]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: MessagesByPeer = {}
    for line in printed.splitlines():
        time, source4, source6, *values = line.split("|")
        types, nlri, gone, nlri6, gone6, path_asns, origins, meds, highs, lows = (value.split(",") for value in values)
        communities = [f"{high}:{low}" for high, low in zip(highs, lows, strict=True) if high]
        said = [types, sorted(nlri + nlri6), sorted(gone + gone6), path_asns, origins, meds, communities]
        found[time[:-3], source4 or source6] = [[one for one in part if one] for part in said]
    return found


def of_ours(path: Path) -> MessagesByPeer:
    """What we read, grouped by packet."""
    found: MessagesByPeer = {}
    for one in Capture(path).open(path, lambda _: None).frames():
        message: Any = PCAP.decode(one.raw)
        if isinstance(message, Rejection) or message.kind not in TYPES:
            continue
        seconds, microseconds = int.from_bytes(one.raw[:4]), int.from_bytes(one.raw[12:16])
        said = found.setdefault((f"{seconds}.{microseconds:06}", message.peer.address), [[] for _ in range(7)])
        attributes = getattr(message, "attributes", None) or {}
        said[0].append(TYPES[message.kind])
        for at, groups in ((1, getattr(message, "announce", None)), (2, getattr(message, "withdraw", None))):
            prefixes = [route.partition("/")[0] for group in groups or () for route in group["nlri"]]
            said[at] = sorted(said[at] + prefixes)
        said[3] += attributes.get("as_path", "").split()
        said[4] += [str(ORIGINS.index(attributes["origin"]))] if attributes.get("origin") else []
        said[5] += [str(attributes["med"])] if "med" in attributes else []
        said[6] += attributes.get("communities", [])
    return found


# --- two daemons ------------------------------------------------------------------------------------------------------

SESSION = """
set -u
ip link set lo up
ip addr add 192.0.2.1/32 dev lo; ip addr add 192.0.2.2/32 dev lo
tcpdump -i lo -U -s 0 -w capture tcp port 179 2>tcpdump.log & T=$!
until grep -q listening tcpdump.log; do sleep 0.05; done
gobgpd -f gobgpd.toml --pprof-disable >gobgpd.log 2>&1 & G=$!
until gobgp neighbor 192.0.2.2 >/dev/null 2>&1; do sleep 0.1; done
bird -f -c bird.conf -s bird.ctl >bird.log 2>&1 & B=$!
for i in $(seq 2000); do gobgp neighbor | grep -q Establ && break; sleep 0.1; done
for i in 1 2 3; do gobgp global rib add 10.0.$i.0/24 community 65000:$i,65000:9 med $i aspath 64500,64501; done
gobgp global rib add -a ipv6 2001:db8:a::/48 nexthop 2001:db8::1
gobgp global rib del 10.0.2.0/24
for i in $(seq 2000); do birdc -s bird.ctl show route | grep -q 2001:db8:a && break; sleep 0.1; done
gobgp neighbor 192.0.2.2 disable
for i in $(seq 2000); do tcpdump -v -r capture 2>/dev/null | grep -q Notification && break; sleep 0.1; done
kill $G $B $T; wait
"""
GOBGPD = """
[global.config]
as = 4200000001
router-id = "192.0.2.1"
local-address-list = ["192.0.2.1"]
[[neighbors]]
[neighbors.config]
neighbor-address = "192.0.2.2"
peer-as = 65002
[neighbors.transport.config]
passive-mode = true
[[neighbors.afi-safis]]
config.afi-safi-name = "ipv4-unicast"
[[neighbors.afi-safis]]
config.afi-safi-name = "ipv6-unicast"
"""
BIRD = """
router id 192.0.2.2;
protocol device { }
protocol static { ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:1::/48 blackhole; }
protocol bgp {
    local 192.0.2.2 as 65002; neighbor 192.0.2.1 as 4200000001; multihop; strict bind; connect delay time 1;
    ipv4 { import all; export all; next hop self; };
    ipv6 { import all; export all; next hop address 2001:db8::2; };
}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of gobgpd and BIRD on port 179."""
    for name in ("gobgpd", "gobgp", "bird", "birdc", "tcpdump", "ip"):
        program(name)
    if os.geteuid() != 0:
        missing("only root may capture in a network namespace of its own")
    directory = tmp_path_factory.mktemp("real")
    (directory / "gobgpd.toml").write_text(GOBGPD)
    (directory / "bird.conf").write_text(BIRD)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    command = [program("unshare"), "-n", "sh", "-c", SESSION]
    subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=300, check=False)
    return directory / "capture"


def test_messages_of_daemons_are_in_the_archive_as_tshark_reads_them(of_an_archive: Type, real: Path) -> None:
    messages = of_tshark(real)
    assert sum(len(said[0]) for said in messages.values()) > 10
    assert of_ours(real) == messages
    done = of_an_archive("import", str(real), "--collector", "lab")
    assert done.returncode == 0, done.stderr
    assert "the OPENs" not in done.stderr
    routes = of_an_archive("search", "--all", "--router", "192.0.2.2", "--format", "jsonl").stdout
    told = [json.loads(line) for line in routes.splitlines()]
    assert {one["peer"]["address"] for one in told} == {"192.0.2.1"}
    assert Counter(one["event"] for one in told) == {"session_up": 1, "announce": 4, "withdraw": 1, "session_end": 1}
    assert told[-1]["reason"].startswith("NOTIFICATION received: Cease / ")
    again = of_an_archive("import", str(real), "--collector", "lab")
    assert "imported before" in again.stderr
    verified = of_an_archive("verify", "--format", "json")
    assert verified.returncode == 0, verified.stderr
    found = json.loads(verified.stdout)
    records = int(done.stderr.splitlines()[-1].split()[0].replace(",", ""))
    assert (found["files"], found["documents"], found["findings"]) == (1, records, [])


# --- packets that are late, repeated or lost -------------------------------------------------------------------------


def late(frames: Sequence[Frame]) -> list[Frame]:
    """The capture with two segments of data swapped, and one repeated."""
    data = [number for number, one in enumerate(frames) if len(one.data) > 140]
    changed = list(frames)
    one, other = data[5], data[6]
    changed[one], changed[other] = (
        frames[one]._replace(data=frames[other].data),
        frames[other]._replace(data=frames[one].data),
    )
    return [*changed[: data[9]], changed[data[8]]._replace(time=changed[data[9]].time - 0.005), *changed[data[9] :]]


@pytest.mark.parametrize("change", [list, late], ids=["as it was", "late and doubled"])
@pytest.mark.parametrize(
    "options",
    [{}, {"vlans": [7, 8]}, {"link": build.SLL2}, {"client": "2001:db8::1", "server": "2001:db8::2"}],
    ids=["plain", "vlans", "cooked", "ipv6"],
)
def test_late_and_repeated_packets_are_read_as_tshark_reads_them(
    tmp_path: Path, options: JsonObject, change: Callable[[Sequence[Frame]], list[Frame]]
) -> None:
    talk = conversation(**options)
    path = tmp_path / "capture"
    path.write_bytes(build.pcap(change(talk.frames), talk.link))
    assert of_ours(path) == of_tshark(path)


def test_after_a_missing_packet_we_read_no_less_than_tshark(tmp_path: Path) -> None:
    frames = conversation().frames
    del frames[[number for number, one in enumerate(frames) if len(one.data) > 140][10]]
    path = tmp_path / "capture"
    path.write_bytes(build.pcap(frames))
    theirs = {prefix for said in of_tshark(path).values() for prefix in said[1]}
    ours = {route.partition("/")[0] for route in announced([PCAP.decode(one.raw) for one in frames_of(path)])}
    assert {prefix for prefix in theirs if prefix.startswith("10.0.")} <= ours


def frames_of(path: Path) -> Iterator[Any]:
    return Capture(path).open(path, lambda _: None).frames()


def test_files_that_cannot_be_read_are_reported_with_a_cure(tmp_path: Path, of_an_archive: Type) -> None:
    path, cut, none = tmp_path / "middle.pcap", tmp_path / "cut.pcap", tmp_path / "none.pcap"
    talk = conversation()
    path.write_bytes(build.pcap(talk.frames[20:]))
    cut.write_bytes(build.pcapng(talk.frames)[:-301])
    none.write_bytes(build.pcap([]))
    begun = of_an_archive("import", str(path))
    assert begun.returncode == 0, begun.stderr
    assert "the OPENs of both ends are not in the capture" in begun.stderr
    for name, cause in ((cut, "is cut short"), (none, "there is no traffic on TCP port 179")):
        done = of_an_archive("import", str(name))
        assert (done.returncode, "Traceback" in done.stderr, cause in done.stderr) == (1, False, True), done.stderr
