"""Orders that four real routers get: their own `show` has what was asked for, and nothing once it is withdrawn."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.acting.client import ActingClient
from collector.errors import CollectorError, RefusedError
from schemas.intents import Intent, Order, Withdrawal
from tests.integration.routers import Bird, Frr, Gobgpd, Openbgpd, Router
from tests.running import Collector, bgpledger, collecting, free_port, processes
from tests.support import until

PREFIX, PREFIX6 = "203.0.113.0/24", "2001:db8:1::/48"
ATTRIBUTES: dict[str, Any] = {
    "med": 5,
    "communities": ["65000:1", "no-export"],
    "large_communities": ["65000:1:2"],
    "as_path": [64510, 64511],
    "prepend": 1,
}
SEEN = {
    "path": "65000 65000 64510 64511",
    "med": 5,
    "communities": {"65000:1", "65535:65281"},
    "large": {"65000:1:2"},
}
NAMES = {"no-export": "65535:65281", "NO_EXPORT": "65535:65281"}


class TakingBird(Bird):
    """Takes what it hears."""

    imports = "all"

    def heard(self, prefix: str) -> dict[str, Any] | None:
        table = "master6" if ":" in prefix else "master4"
        said = self._birdc("show", "route", "all", "table", table, "where", "net", "=", prefix)
        if "BGP.as_path" not in said:
            return None

        def values(name: str) -> set[str]:
            found = re.search(rf"BGP\.{name}: (.*)", said)
            return {re.sub(", ?", ":", one) for one in re.findall(r"\((.*?)\)", found[1])} if found else set()

        path, med = re.search(r"BGP\.as_path: (.*)", said), re.search(r"BGP\.med: (\d+)", said)
        return {
            "path": path[1] if path else "",
            "med": int(med[1]) if med else None,
            "communities": values("community"),
            "large": values("large_community"),
        }


class TakingGobgpd(Gobgpd):
    """Takes what it hears."""

    def heard(self, prefix: str) -> dict[str, Any] | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        paths = (json.loads(self._gobgp("-j", "global", "rib", "-a", family)) or {}).get(prefix)
        return _of_gobgp(paths[0]["attrs"]) if paths else None


def _of_gobgp(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    by_code = {one["type"]: one for one in attributes}
    return {
        "path": " ".join(str(asn) for part in by_code[2]["as_paths"] for asn in part["asns"]),
        "med": by_code.get(4, {}).get("metric"),
        "communities": {f"{one >> 16}:{one & 0xFFFF}" for one in by_code.get(8, {}).get("communities", ())},
        "large": {
            f"{one['ASN']}:{one['LocalData1']}:{one['LocalData2']}" for one in by_code.get(32, {}).get("value", ())
        },
    }


class TakingFrr(Frr):
    """Takes what it hears."""

    def heard(self, prefix: str) -> dict[str, Any] | None:
        family = "ipv6" if ":" in prefix else "ipv4"
        said = json.loads(self._vtysh(f"show bgp {family} unicast {prefix} json", configure=False) or "{}")
        if not said.get("paths"):
            return None
        path = said["paths"][0]
        named = {NAMES.get(one, one) for one in path.get("community", {}).get("list", ())}
        return {
            "path": path["aspath"]["string"],
            "med": path.get("metric"),
            "communities": {"65535:65281" if one == "noExport" else one for one in named},
            "large": set(path.get("largeCommunity", {}).get("list", ())),
        }


class TakingOpenbgpd(Openbgpd):
    """Takes what it hears."""

    def heard(self, prefix: str) -> dict[str, Any] | None:
        said = json.loads(self._bgpctl("-j", "show", "rib", "detail", "in", "neighbor", "127.0.0.1"))
        route = next((one for one in said.get("rib", ()) if one["prefix"] == prefix), None)
        if route is None:
            return None
        return {
            "path": route["aspath"],
            "med": route.get("metric"),
            "communities": {NAMES.get(one, one) for one in route.get("communities", ())},
            "large": set(route.get("large_communities", ())),
        }


TAKING: tuple[type[Any], ...] = (TakingBird, TakingGobgpd, TakingFrr, TakingOpenbgpd)


class Acting:
    """A collector that may announce, and its routers."""

    def __init__(self, collector: Collector, routers: Sequence[Any]) -> None:
        self.collector, self.routers = collector, routers
        self.client = ActingClient(collector.data_dir)

    async def takes_orders(self) -> bool:
        """Whether somebody is there who takes orders."""
        try:
            await self.client.intents()
        except CollectorError:
            return False
        return True

    async def order(self, *prefixes: str, **more: Any) -> list[str]:
        """Have prefixes announced; the ids of the intents."""
        attributes = {name: more.pop(name) for name in list(more) if name in (*ATTRIBUTES, "next_hop", "local_pref")}
        body = {"who": "test", "why": "to see it", "source": "api", **more}
        said = [{"prefix": prefix, **attributes} for prefix in prefixes]
        found = await self.client.announce(Order.model_validate({**body, "announcements": said}))
        return [one["id"] for one in found]

    async def withdraw(self, *prefixes: str) -> None:
        """Have prefixes withdrawn."""
        wish = {"who": "test", "why": "seen", "source": "api", "prefixes": prefixes}
        await self.client.withdraw(Withdrawal.model_validate(wish))

    async def intent(self, key: str) -> Intent:
        """An intent as it stands."""
        return next(one for one in await self.client.intents(ended=True) if one.id == key)

    async def until_sent(self, key: str) -> Intent:
        """Wait until all peers have been told."""

        async def sent() -> Intent | None:
            found = await self.intent(key)
            told = {one.peer for one in found.states if one.state == "sent"}
            return found if told == set(found.peers) else None

        found: Intent = await until(sent, what="all peers have been told")
        return found

    async def until_heard(self, prefix: str, seen: dict[str, Any] | None) -> None:
        """Wait until each router has a route like this, or none."""
        for router in self.routers:
            await until(partial(_has, router, prefix, seen), what=f"{router} has {seen} of {prefix}")


def _has(router: Any, prefix: str, seen: dict[str, Any] | None) -> bool:
    return bool(router.heard(prefix) == seen)


def _is_another(pattern: str, than: int) -> bool:
    return processes(pattern) not in ([], [than])


@asynccontextmanager
async def acting(directory: Path, kinds: Sequence[type[Any]], *lines: str) -> AsyncIterator[Acting]:
    """A collector with these routers, all sessions up."""
    port = free_port()
    routers: list[Router] = [kind(directory / kind.__name__, port, 20 + at) for at, kind in enumerate(kinds)]
    config = directory / "collector.toml"
    directory.mkdir(parents=True, exist_ok=True)
    allowed = ["[announce]", f'prefixes = ["{PREFIX} le 32", "{PREFIX6} le 64"]', "flows = true", "rate = 1000", *lines]
    config.write_text("\n".join([*allowed, *(line for router in routers for line in router.settings())]))
    with collecting(directory / "data", "--config", str(config), port=port) as collector:
        await collector.until_up()
        async with AsyncExitStack() as stack:
            for router in routers:
                stack.enter_context(router)
            bench = Acting(collector, routers)
            await until(bench.takes_orders, what="orders are taken")
            yield bench


async def test_four_routers_have_what_is_ordered_and_nothing_else(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", TAKING) as bench:
        keys = await bench.order(PREFIX, next_hop="192.0.2.9", **ATTRIBUTES)
        keys += await bench.order(PREFIX6, next_hop="2001:db8:1::1", **ATTRIBUTES)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            intent = await bench.until_sent(key)
            assert {one.state for one in intent.states} == {"pending", "accepted", "sent"}
            await bench.until_heard(prefix, SEEN)
        await _refuses(bench)
        await _survives_kills(bench)
        await bench.withdraw(PREFIX, PREFIX6)
        for key, prefix in zip(keys, (PREFIX, PREFIX6), strict=True):
            await bench.until_heard(prefix, None)
            assert (await bench.intent(key)).state == "withdrawn"
        await _is_in_the_store(bench, keys)


async def _refuses(bench: Acting) -> None:
    for more, says in (
        ({"local_pref": 200}, "LOCAL_PREF is for peers of our own AS alone"),
        ({"peers": ["192.0.2.99"]}, "no peer has the address 192.0.2.99"),
        ({"group": "nobody"}, "no peer has the group"),
        ({"expires": "2026-01-01T00:00:00Z"}, "is in the past"),
    ):
        with pytest.raises(RefusedError, match=says):
            await bench.order(PREFIX, **more)
    with pytest.raises(RefusedError, match="is none of the prefixes that may be announced"):
        await bench.order("198.51.100.0/24")


async def _survives_kills(bench: Acting) -> None:
    """Of ExaBGP, and of the acting process: what is to stand does."""
    data = str(bench.collector.data_dir)
    for pattern in (rf"server {data}/exabgp.conf", rf"act --data-dir {data}"):
        (victim, *_) = processes(pattern)
        os.kill(victim, signal.SIGKILL)
        await until(partial(_is_another, pattern, victim), what=pattern)
        await until(bench.takes_orders, what="orders are taken again")
        for prefix in (PREFIX, PREFIX6):
            await bench.until_heard(prefix, SEEN)


async def _is_in_the_store(bench: Acting, keys: Sequence[str]) -> None:
    def shown() -> list[dict[str, Any]]:
        return [one for one in bench.collector.ask("intents", "--all") if one["id"] in keys]

    await until(lambda: [one["state"] for one in shown()] == ["withdrawn"] * 2, what="the store has the ends")
    done = bgpledger("--data-dir", str(bench.collector.data_dir), "verify")
    assert done.returncode == 0, done.stdout


class InternalBird(TakingBird):
    """A peer of our own AS."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asn = 65000

    def preference(self, prefix: str) -> int | None:
        found = re.search(r"BGP\.local_pref: (\d+)", self._birdc("show", "route", "all", "where", "net", "=", prefix))
        return int(found[1]) if found else None


class FlowGobgpd(TakingGobgpd):
    """Takes flow specifications too."""

    def settings(self) -> list[str]:
        return [*super().settings(), 'families = ["ipv4 unicast", "ipv6 unicast", "ipv4 flow"]']

    def configure(self) -> None:
        super().configure()
        file = self.directory / "gobgpd.toml"
        family = '[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "ipv4-flowspec"\n'
        file.write_text(file.read_text() + family)

    def flows(self) -> str:
        return self._gobgp("global", "rib", "-a", "ipv4-flowspec")


async def test_a_peer_of_our_own_as_gets_local_pref_and_another_a_flow(tmp_path: Path) -> None:
    async with acting(tmp_path / "a", [InternalBird, FlowGobgpd]) as bench:
        internal, flowing = bench.routers
        (key,) = await bench.order(PREFIX, next_hop="192.0.2.9", local_pref=200, peers=[internal.address])
        await bench.until_sent(key)
        await until(lambda: internal.preference(PREFIX) == 200, what="LOCAL_PREF")
        assert internal.heard(PREFIX)["path"] == ""
        body = {"who": "test", "why": "to see it", "source": "api", "peers": [flowing.address]}
        match = {"destination": "203.0.113.7/32", "protocols": "udp", "destination_ports": "53,1024-2000"}
        flow = {**body, "announcements": [{"match": match, "then": {"discard": True}}]}
        (found,) = await bench.client.announce(Order.model_validate(flow))
        await bench.until_sent(found["id"])
        await until(lambda: "discard" in flowing.flows(), what="the flow")
        assert re.search(r"destination: ?203\.0\.113\.7/32.*protocol: ?==?udp.*destination-port", flowing.flows())
        await bench.withdraw(PREFIX, "203.0.113.7/32")
        await until(lambda: internal.heard(PREFIX) is None, what="no route")
        await until(lambda: "203.0.113.7" not in flowing.flows(), what="no flow")
