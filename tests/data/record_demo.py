"""Records collector/data/demo.mrt.gz from real daemons; run it as root, with gobgpd and iproute2 installed.

    python tests/data/record_demo.py

Three gobgpd play the routers, a fourth collects and writes what it hears as MRT (`[[mrt-dump]]`), all in a network
namespace of their own, so that the peers can have documentation addresses (RFC 5737, RFC 3849). All AS numbers are
documentation's too (RFC 5398). The story, about 40 seconds long:

    AS64500 announces 203.0.113.0/24; AS64511 takes it over, with a more specific prefix beside it; AS64500 gets it
    back. 198.51.100.64/26 flaps meanwhile, and 2001:db8:42::/48 changes its path and goes away for a while.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

OUTPUT = Path(__file__).parents[2] / "collector" / "data" / "demo.mrt.gz"
COLLECTOR = "192.0.2.250"
COLLECTOR6 = "2001:db8::250"
STEP_SECONDS = 3


@dataclass(frozen=True)
class Router:
    number: int
    address: str
    asn: int

    @property
    def api_port(self) -> int:
        return 50050 + self.number

    def rib(self, *words: str) -> None:
        family = "ipv6" if ":" in words[1] else "ipv4"
        command = ["gobgp", "-u", "127.0.0.1", "-p", str(self.api_port), "global", "rib", "-a", family, *words]
        subprocess.run(command, check=True)

    def announce(self, prefix: str, path: str, *attributes: str, origin: str = "igp") -> None:
        next_hop = f"2001:db8::{self.number}" if ":" in prefix else f"192.0.2.{self.number}"
        self.rib("add", prefix, "aspath", path, "nexthop", next_hop, "origin", origin, *attributes)

    def withdraw(self, prefix: str) -> None:
        self.rib("del", prefix)


ONE = Router(1, "192.0.2.1", 64496)
TWO = Router(2, "192.0.2.2", 64497)
THREE = Router(3, "2001:db8::3", 65551)
ROUTERS = (ONE, TWO, THREE)


def main() -> None:
    if "DEMO_NAMESPACE" not in os.environ:
        command = ["unshare", "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, "DEMO_NAMESPACE": "1"}).returncode)
    for address in (COLLECTOR, COLLECTOR6, *(router.address for router in ROUTERS)):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    directory = Path(tempfile.mkdtemp())
    try:
        record(directory)
        OUTPUT.write_bytes(gzip.compress((directory / "updates.mrt").read_bytes(), 9, mtime=0))
    finally:
        shutil.rmtree(directory)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")


def record(directory: Path) -> None:
    daemons = [start(directory, "collector", collector_configuration(), 50050)]
    try:
        daemons += [start(directory, str(router.asn), configuration(router), router.api_port) for router in ROUTERS]
        wait_until_established()
        tell()
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait()


def start(directory: Path, name: str, text: str, api_port: int) -> subprocess.Popen[bytes]:
    file = directory / f"{name}.toml"
    file.write_text(text)
    command = ["gobgpd", "-f", str(file), "--api-hosts", f"127.0.0.1:{api_port}", "--pprof-disable"]
    with (directory / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)


def collector_configuration() -> str:
    # gobgpd takes a dump's file name for a time format: digits in it, as in a temporary directory's, would change.
    text = f"""
[global.config]
  as = 64510
  router-id = "{COLLECTOR}"
  local-address-list = ["{COLLECTOR}", "{COLLECTOR6}"]
[global.apply-policy.config]
  default-export-policy = "reject-route"
[[mrt-dump]]
  [mrt-dump.config]
    dump-type = "updates"
    file-name = "updates.mrt"
    rotation-interval = 3600
"""
    return text + "".join(neighbour(router.address, router.asn, passive=True) for router in ROUTERS)


def configuration(router: Router) -> str:
    # They never listen: all connect to the collector.
    return f"""
[global.config]
  as = {router.asn}
  router-id = "192.0.2.{router.number}"
  port = -1
""" + neighbour(COLLECTOR6 if ":" in router.address else COLLECTOR, 64510, local=router.address)


def neighbour(address: str, asn: int, *, passive: bool = False, local: str = "") -> str:
    families = "".join(
        f'  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = "{name}"\n'
        for name in ("ipv4-unicast", "ipv6-unicast")
        if name == "ipv6-unicast" or ":" not in address
    )
    return f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {asn}
  [neighbors.transport.config]
    passive-mode = {str(passive).lower()}
    local-address = "{local or (COLLECTOR6 if ":" in address else COLLECTOR)}"
  [neighbors.timers.config]
    connect-retry = 1
  [neighbors.ebgp-multihop.config]
    enabled = true
{families}"""


def wait_until_established() -> None:
    for _ in range(60):
        shown = subprocess.run(["gobgp", "-p", "50050", "neighbor"], capture_output=True, text=True).stdout
        if shown.count("Establ") == len(ROUTERS):
            return
        time.sleep(1)
    sys.exit(f"the sessions did not come up:\n{shown}")


def tell() -> None:
    """The story, a step at a time; the last pause lets the collector write what it has heard."""
    for step in (
        first_tables,
        path_change,
        take_over,
        more_specific,
        flap,
        flap,
        flap,
        leave_ipv6,
        give_back,
        return_ipv6,
        calm_down,
    ):
        step()
        time.sleep(STEP_SECONDS)


def first_tables() -> None:
    origins = ("64500", "64501", "64502 64503", "64499 64504")
    for number in range(12):
        ipv4, ipv6, origin = f"198.51.100.{number * 16}/28", f"2001:db8:{number + 1:x}::/48", origins[number % 4]
        ONE.announce(ipv4, origin, "med", str(10 * number), "community", f"64496:{100 + number},64496:1000")
        ONE.announce(ipv6, origin, "community", f"64496:{200 + number}")
        TWO.announce(ipv4, f"64498 {origin}", "large-community", f"64497:1:{number},64497:2:{number}")
        THREE.announce(ipv6, f"65550 {origin}", "large-community", f"65551:1:{number}", "med", "5")
    ONE.announce("198.51.100.64/26", "64505", origin="incomplete")
    TWO.announce("198.51.100.64/26", "64498 64505")
    ONE.announce("203.0.113.0/24", "64499 64500", "med", "20", "community", "64496:100,64499:64500")
    TWO.announce("203.0.113.0/24", "64498 64500", "community", "64497:300", "large-community", "64497:1:500")
    ONE.announce("2001:db8:42::/48", "64499 64500", "community", "64496:100")
    THREE.announce("2001:db8:42::/48", "65550 64500", "large-community", "65551:1:500")


def path_change() -> None:
    ONE.announce("203.0.113.0/24", "64501 64502 64500", "med", "70", "community", "64496:150,64501:64500")
    THREE.announce("2001:db8:42::/48", "65549 65550 64500", "large-community", "65551:1:501,65551:9:9")


def take_over() -> None:
    TWO.announce("203.0.113.0/24", "64511", "community", "64497:666")
    ONE.announce("203.0.113.0/24", "64509 64511", "med", "5", "community", "64496:100")


def more_specific() -> None:
    TWO.announce("203.0.113.128/25", "64511", "community", "64497:666")


def flap() -> None:
    ONE.withdraw("198.51.100.64/26")
    TWO.withdraw("198.51.100.64/26")
    time.sleep(1)
    ONE.announce("198.51.100.64/26", "64505", origin="incomplete")
    TWO.announce("198.51.100.64/26", "64498 64505")


def leave_ipv6() -> None:
    ONE.withdraw("2001:db8:42::/48")
    THREE.withdraw("2001:db8:42::/48")


def give_back() -> None:
    TWO.withdraw("203.0.113.128/25")
    TWO.announce("203.0.113.0/24", "64498 64500", "community", "64497:300", "large-community", "64497:1:500")
    ONE.announce("203.0.113.0/24", "64499 64500", "med", "20", "community", "64496:100,64499:64500")


def return_ipv6() -> None:
    THREE.announce("2001:db8:42::/48", "65550 64500", "large-community", "65551:1:500")
    ONE.announce("2001:db8:42::/48", "64499 64500", "community", "64496:100")


def calm_down() -> None:
    ONE.withdraw("198.51.100.176/28")
    ONE.announce("198.51.100.160/28", "64499 64500 64500 64500", "med", "100", "community", "64496:110")


if __name__ == "__main__":
    main()
