"""The README's configurations of routers, in the daemons that they are for.

Each snippet is used as it is printed, but for the collector's address, which is 127.0.0.1 here. In addition the
daemon is given what every router has already (its address, its routes with their communities) and ports that a test
may use.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path

import pytest

from tests.integration.routers import Bird, Frr, Gobgpd, Openbgpd, Router
from tests.running import Collector, collecting, free_port
from tests.support import ROOT, until

V4, V6 = "203.0.113.0/24", "2001:db8:77::/48"
ROUTER_AS, COLLECTOR_AS = 64500, 64512
STANDARD, LARGE, EXTENDED = "64500:100", "64500:1:500", "target:64500:7"
README = (ROOT / "README.md").read_text()


def snippet(title: str) -> str:
    """A router's block, with this test's address of the collector."""
    block = re.search(rf"<summary>{title}</summary>\n\n```\w*\n(.*?)```", README, re.DOTALL)
    assert block is not None, title
    assert f"{COLLECTOR_AS}" in block[1]
    assert block[1].count("192.0.2.10")
    return block[1].replace("192.0.2.10", "127.0.0.1")


class PrintedFrr(Frr):
    def configure(self) -> None:
        (self.directory / "frr.conf").write_text(
            f"""
router bgp {ROUTER_AS}
 bgp router-id {self.router_id}
 no bgp network import-check
 address-family ipv4 unicast
  network {V4} route-map TAGGED
 exit-address-family
 address-family ipv6 unicast
  network {V6} route-map TAGGED
 exit-address-family
route-map TAGGED permit 10
 set community {STANDARD}
 set large-community {LARGE}
 set extcommunity rt 64500:7
{snippet("FRR")}
router bgp {ROUTER_AS}
 neighbor 127.0.0.1 port {self.target}
 neighbor 127.0.0.1 update-source {self.address}
 neighbor 127.0.0.1 timers connect 1
"""
        )


class PrintedBird(Bird):
    def configure(self) -> None:
        tagged = (
            "bgp_community.add((64500,100)); bgp_large_community.add((64500,1,500)); "
            "bgp_ext_community.add((rt,64500,7));"
        )
        printed = snippet("BIRD 2").replace("local as", f"local {self.address} port {self.port} as")
        (self.directory / "bird.conf").write_text(
            f"""
router id {self.router_id};
protocol device {{ }}
protocol static {{ ipv4; route {V4} blackhole {{ {tagged} }}; }}
protocol static {{ ipv6; route {V6} blackhole {{ {tagged} }}; }}
{printed.replace("neighbor 127.0.0.1 as", f"neighbor 127.0.0.1 port {self.target} as")}
"""
        )


class PrintedOpenbgpd(Openbgpd):
    def configure(self) -> None:
        tagged = f"set {{ community {STANDARD} large-community {LARGE} ext-community rt 64500:7 }}"
        local = f"multihop 2\nlocal-address {self.address}\nport {self.target}"
        file = self.directory / "openbgpd.conf"
        file.write_text(
            f"""
AS {ROUTER_AS}
router-id {self.router_id}
listen on {self.address} port {self.port}
socket "{self.directory}/openbgpd.sock"
connect-retry 1
network {V4} {tagged}
network {V6} {tagged}
{snippet("OpenBGPD").replace("multihop 2", local)}
"""
        )
        file.chmod(0o600)


class PrintedGobgpd(Gobgpd):
    def configure(self) -> None:
        (self.directory / "gobgpd.toml").write_text(
            f"""
[global.config]
  as = {ROUTER_AS}
  router-id = "{self.router_id}"
  port = {self.port}
  local-address-list = ["{self.address}"]
{snippet("GoBGP")}
  [neighbors.transport.config]
    remote-port = {self.target}
    local-address = "{self.address}"
    passive-mode = true
"""
        )

    def change(self) -> None:
        words = ("community", STANDARD, "large-community", LARGE, "rt", "64500:7")
        for family, prefix, next_hop in (("ipv4", V4, self.address), ("ipv6", V6, self.next_hop6)):
            self._gobgp("global", "rib", "add", "-a", family, prefix, "nexthop", next_hop, *words)


PRINTED: tuple[type[Router], ...] = (PrintedFrr, PrintedBird, PrintedOpenbgpd, PrintedGobgpd)


async def test_daemons_configured_as_the_readme_prints_send_everything(tmp_path: Path) -> None:
    """Both families, with communities of all three kinds."""
    port = free_port()
    routers = [kind(tmp_path / kind.__name__, port, 51 + at) for at, kind in enumerate(PRINTED)]
    config = tmp_path / "collector.toml"
    config.write_text("\n".join(line for one in routers for line in _settings(one)))
    with collecting(
        tmp_path / "data", "--config", str(config), "--local-as", str(COLLECTOR_AS), port=port
    ) as collector:
        await collector.until_up()
        for router in routers:
            with router:
                await until(partial(up, collector, router.address), what=f"{router.address} is up")
                if isinstance(router, PrintedGobgpd):
                    router.change()
                for prefix in (V4, V6):
                    found = await until(
                        partial(announced, collector, prefix, router.address), what=f"{router} {prefix}"
                    )
                    assert found["as_path"] == f"{ROUTER_AS}"
                    assert found["communities"] == [STANDARD]
                    assert found["large_communities"] == [LARGE]
                    assert [one["text"] for one in found["extended_communities"]] == [EXTENDED]


def _settings(router: Router) -> list[str]:
    return [f"asn = {ROUTER_AS}" if line.startswith("asn =") else line for line in router.settings()]


async def up(collector: Collector, address: str) -> bool:
    peers = await asyncio.to_thread(collector.ask, "peers")
    return any(peer["address"] == address and peer["state"] == "up" for peer in peers)


async def announced(collector: Collector, prefix: str, address: str) -> dict[str, object] | None:
    events = await asyncio.to_thread(collector.ask, "history", prefix, "--peer", address)
    return next((event for event in events if event["event"] == "announce"), None)


@pytest.mark.parametrize("title", ["Cisco IOS-XE", "Juniper Junos"])
def test_snippets_for_daemons_that_are_not_here_have_both_families(title: str) -> None:
    printed = snippet(title)
    for words in {"Cisco IOS-XE": ("ipv4", "ipv6", "both"), "Juniper Junos": ("inet ", "inet6 ")}[title]:
        assert words in printed
