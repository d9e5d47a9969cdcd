"""Automatic decisions reach real routers: checks, ExaBGP's own `healthcheck` attached, and rules for peers.

The routers are configured as `docs/acting.md` prints, except for the addresses, which are loopback ones here.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from schemas.json_object import JsonObject
from tests.integration.routers import Bird, Frr, Openbgpd, Router
from tests.running import Collector, bgpledger, collecting, free_port
from tests.support import ROOT, until

ACTING = (ROOT / "docs/acting.md").read_text()
COLLECTOR_AS, CE_AS, PE_AS = 64512, 64500, 64501
KEPT, PREFERRED, OTHER = "203.0.113.1/32", "203.0.113.200/32", "203.0.113.77/32"


def printed(title: str) -> str:
    """A code block of the page."""
    block = re.search(rf"<summary>{title}</summary>\n\n```\n(.*?)```", ACTING, re.DOTALL)
    assert block is not None, title
    return block[1]


def rules(*peers: str) -> str:
    """The rules of the page, for these peers."""
    block = re.search(r"```toml\n(\[\[policies\]\].*?)```", ACTING, re.DOTALL)
    assert block is not None
    assert block[1].count('peers = ["192.0.2.1"]') == 2
    return block[1].replace('["192.0.2.1"]', json.dumps(peers))


class Provider(Bird):
    """The PE of both CE routers, which accepts nothing from us, and announces to us what it receives from them."""

    def tell_of(self, *customers: Router) -> None:
        self.customers = customers

    def configure(self) -> None:
        sessions = "".join(
            f"protocol bgp {{ local {self.address} port {self.port} as {PE_AS}; multihop 2; passive;\n"
            f"neighbor {one.address} as {CE_AS}; ipv4 {{ import all; export none; }}; }}\n"
            for one in self.customers
        )
        sessions += (
            f"protocol bgp collector {{ local {self.address} port {self.port} as {PE_AS}; multihop 2;\n"
            "connect delay time 1; connect retry time 1; error wait time 1, 2;\n"
            f"neighbor 127.0.0.1 port {self.target} as {COLLECTOR_AS}; ipv4 {{ import none; export all; }}; }}\n"
        )
        (self.directory / "bird.conf").write_text(f"router id {self.router_id};\nprotocol device {{ }}\n{sessions}")

    def received(self, router: Router) -> set[str]:
        """The prefixes that it has received from a customer."""
        lines = self._birdc("show", "route", "all").splitlines()
        found, prefix = set(), ""
        for line in lines:
            if route := re.match(r"(\S+/\d+)?\s+unreachable .*from (\S+)\]|(\S+/\d+)?\s+\S+ .*from (\S+)\]", line):
                prefix = route[1] or route[3] or prefix
                if (route[2] or route[4]) == router.address:
                    found.add(prefix)
        return found


class PrintedBird(Bird):
    provider: Provider

    def configure(self) -> None:
        text = printed("BIRD 2").replace("local as", f"local {self.address} port {self.port} as")
        text = text.replace("neighbor 192.0.2.10 as", f"neighbor 127.0.0.1 port {self.target} as")
        text = text.replace(
            "neighbor 198.51.100.1 as", f"multihop 2; neighbor {self.provider.address} port {self.provider.port} as"
        )
        (self.directory / "bird.conf").write_text(f"router id {self.router_id};\nprotocol device {{ }}\n{text}")

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF that it has given to a route of ours."""
        found = re.search(r"BGP.local_pref: (\d+)", self._birdc("show", "route", "where", f"net = {prefix}", "all"))
        return int(found[1]) if found else None


class PrintedFrr(Frr):
    provider: Provider

    def configure(self) -> None:
        text = printed("FRR").replace("192.0.2.10", "127.0.0.1").replace("198.51.100.1", self.provider.address)
        sessions = "".join(
            f" neighbor {address} port {port}\n neighbor {address} update-source {self.address}\n"
            f" neighbor {address} disable-connected-check\n neighbor {address} timers connect 1\n"
            f" neighbor {address} advertisement-interval 0\n"
            for address, port in (("127.0.0.1", self.target), (self.provider.address, self.provider.port))
        )
        more = f"router bgp {CE_AS}\n bgp router-id {self.router_id}\n{sessions}"
        more += f" neighbor {self.provider.address} ebgp-multihop 2\n"
        (self.directory / "frr.conf").write_text(text + more)

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF that it has given to a route of ours."""
        found = json.loads(self._vtysh(f"show bgp ipv4 unicast {prefix} json", configure=False) or "{}")
        paths = found.get("paths", [])
        return int(paths[0].get("locPrf", paths[0].get("localPref", 100))) if paths else None


class PrintedOpenbgpd(Openbgpd):
    provider: Provider

    def configure(self) -> None:
        more = f"local-address {self.address}\n    port"
        text = printed("OpenBGPD").replace("192.0.2.10", "127.0.0.1").replace("198.51.100.1", self.provider.address)
        text = text.replace("remote-as 64512\n", f"remote-as 64512\n    {more} {self.target}\n")
        text = text.replace("remote-as 64501\n", f"remote-as 64501\n    multihop 2\n    {more} {self.provider.port}\n")
        own = f"router-id {self.router_id}\nlisten on {self.address} port {self.port}\n"
        own += f'socket "{self.directory}/openbgpd.sock"\n'
        file = self.directory / "openbgpd.conf"
        file.write_text(text.replace("AS 64500\n", f"AS 64500\n{own}connect-retry 1\n"))
        file.chmod(0o600)

    def preference(self, prefix: str) -> int | None:
        """The LOCAL_PREF that it has given to a route of ours."""
        found = json.loads(self._bgpctl("-j", "show", "rib", "detail", prefix)).get("rib", ())
        return next((int(one["localpref"]) for one in found if one["prefix"] == prefix), None)


Printed = PrintedBird | PrintedFrr | PrintedOpenbgpd


def configured(directory: Path, routers: list[Any]) -> str:
    """A collector with a check, an attached command, a static route, and the page's rules."""
    peers = "\n".join(line for one in (*routers, routers[0].provider) for line in one.settings())
    healthcheck = [
        sys.executable,
        "-m",
        "exabgp",
        "healthcheck",
        "--no-syslog",
        "--no-ip-setup",
        "--rise=1",
        "--fall=1",
    ]
    healthcheck += [f"--cmd=test -e {directory}/attached", f"--ip={PREFERRED}", "--next-hop=192.0.2.10"]
    healthcheck += ["--withdraw-on-down", "--interval=0.2", "--fast-interval=0.2"]
    return f"""{peers}
[announce]
prefixes = ["203.0.113.0/24 le 32"]
[[announce.static]]
prefix = "{OTHER}"
next_hop = "192.0.2.10"
why = "neither kept nor preferred"
{rules(*(one.address for one in routers)).replace("203.0.113.0/25^+", KEPT)}
[[checks]]
name = "www"
command = "test -e {directory}/checked"
ip = "{KEPT}"
next_hop = "192.0.2.10"
rise = 1
fall = 1
interval = 0.2
withdraw_on_down = true
[[commands]]
name = "exabgp"
run = {json.dumps(healthcheck)}
"""


async def test_orders_of_checks_and_commands_reach_ce_routers_which_act_on_communities(tmp_path: Path) -> None:
    port = free_port()
    provider = Provider(tmp_path / "provider", port, 71)
    routers: list[Printed] = [
        PrintedBird(tmp_path / "bird", port, 72),
        PrintedFrr(tmp_path / "frr", port, 73),
        PrintedOpenbgpd(tmp_path / "openbgpd", port, 74),
    ]
    provider.tell_of(*routers)
    provider.asn = PE_AS
    for router in routers:
        router.provider, router.asn = provider, CE_AS
    config = tmp_path / "collector.toml"
    config.write_text(configured(tmp_path, routers))
    (tmp_path / "checked").touch()
    (tmp_path / "attached").touch()
    arguments = ("--config", str(config), "--local-as", str(COLLECTOR_AS))
    with provider, collecting(tmp_path / "data", *arguments, port=port) as collector:
        await collector.until_up()
        with routers[0], routers[1], routers[2]:
            for router in routers:
                await until(partial(has, provider, router, PREFERRED, OTHER), what=f"{router} {provider.table}")
                await until(partial(prefers, router, PREFERRED, 200), what=f"{router} prefers")
                await until(partial(prefers, router, KEPT, 100), what=f"{router} has {KEPT}, which the check announces")
            came = partial(convergence, collector, "command exabgp", provider)
            await until(came, what=f"{provider} has told us of {PREFERRED}")
            collector.process.send_signal(signal.SIGHUP)  # withdraws nothing
            (tmp_path / "checked").unlink()
            (tmp_path / "attached").unlink()
            for router in routers:
                await until(partial(prefers, router, KEPT, None), what=f"{router} has lost {KEPT}")
                await until(partial(has, provider, router, OTHER), what=f"{router} has lost {PREFERRED}")

            async def withdrawn() -> list[JsonObject] | None:  # routers may receive it a moment before it is reported
                intents = await asyncio.to_thread(partial(all_intents, collector))
                last = {one["source"]: one["states"][-1]["state"] for one in intents}
                return intents if last["healthcheck www"] == "withdrawn" else None

            intents = await until(withdrawn, what="the withdrawal is reported")
            assert {one["source"] for one in intents} == {"configuration", "healthcheck www", "command exabgp"}
            assert any("DOWN: exit status 1" in str(one["states"]) for one in intents)
            assert any("by policy: keep here" in str(one["states"]) for one in intents)

            def gone() -> JsonObject | None:
                told = convergence(collector, "command exabgp", provider)
                return told if told and told["gone"] else None

            told = await until(gone, what=f"{provider} has told us that {PREFERRED} is gone")
            assert told["heard_seconds"] >= 0
            assert told["gone_seconds"] >= 0
            assert convergence(collector, "healthcheck www", provider) is None, "CE routers keep it"
            assert looped(collector, "command exabgp") == [routers[1].address], "only FRR sends it back"

            (tmp_path / "checked").touch()
            for router in routers:
                await until(partial(prefers, router, KEPT, 100), what=f"{router} has {KEPT} again")
            collector.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(collector.process.wait, 60)
            for router in routers:  # it may keep our other routes for two minutes: it restarts gracefully
                assert prefers(router, KEPT, None)


def all_intents(collector: Collector) -> list[JsonObject]:
    """All intents of the collector, including those that have ended."""
    done = bgpledger("intents", "--all", "--data-dir", str(collector.data_dir), "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[JsonObject] = json.loads(done.stdout)
    return found


def convergence(collector: Collector, source: str, provider: Provider) -> JsonObject | None:
    """When the provider announced the route that a source ordered, and when it withdrew it; None: not yet."""
    return next((one for one in all_convergence(collector, source) if one["peer"] == provider.peer), None)


def looped(collector: Collector, source: str) -> list[str]:
    """The peers that sent back the route that a source ordered."""
    return [one["peer"]["address"] for one in all_convergence(collector, source) if one["looped"]]


def all_convergence(collector: Collector, source: str) -> list[JsonObject]:
    (intent,) = [one["id"] for one in all_intents(collector) if one["source"] == source]
    return collector.ask("convergence", intent)


def has(provider: Provider, customer: Router, *prefixes: str) -> bool:
    """Whether the provider has these prefixes from a customer, and no others."""
    return provider.received(customer) == set(prefixes)


def prefers(router: Printed, prefix: str, preference: int | None) -> bool:
    """Whether a router has given a route of ours this LOCAL_PREF; None: whether it has none."""
    return router.preference(prefix) == preference
